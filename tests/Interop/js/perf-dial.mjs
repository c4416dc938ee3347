// A js-libp2p perf client: uploads to (and downloads from) any libp2p perf server and prints the seconds it took.
//   node perf-dial.mjs [--plaintext] MULTIADDR UPLOAD-BYTES [DOWNLOAD-BYTES]
import { multiaddr } from '@multiformats/multiaddr'
import { createNode } from './lib/node.mjs'
import { runPerf } from './lib/perf.mjs'

const [address, upload, download] = process.argv.slice(2).filter(word => !word.startsWith('--'))
if (!address || !upload) {
  console.error('usage: node perf-dial.mjs [--plaintext] MULTIADDR UPLOAD-BYTES [DOWNLOAD-BYTES]')
  process.exit(2)
}
const node = await createNode({ security: process.argv.includes('--plaintext') ? 'plaintext' : 'noise', listen: [] })
const connection = await node.dial(multiaddr(address))
const wanted = Number(download ?? 0)
const { received, seconds } = await runPerf(connection, Number(upload), wanted)
if (received !== wanted) {
  console.error(`asked for ${wanted} bytes, received ${received}`)
  process.exit(1)
}
console.log(seconds.toFixed(6))
process.exit(0)
