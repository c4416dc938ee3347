// A js-libp2p perf server: prints its multiaddr and serves until it is ended.
//   node perf-listen.mjs [--plaintext] [LISTEN-MULTIADDR]
import { createNode } from './lib/node.mjs'
import { servePerf } from './lib/perf.mjs'

const words = process.argv.slice(2)
const listen = words.filter(word => word.startsWith('/'))
const node = await createNode({
  security: words.includes('--plaintext') ? 'plaintext' : 'noise',
  listen: listen.length > 0 ? listen : ['/ip4/127.0.0.1/tcp/0']
})
await servePerf(node)
console.log(node.getMultiaddrs()[0].toString())
