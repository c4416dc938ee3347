// libp2p's perf protocol: the client sends the number of bytes it wants back (unsigned 64 bit, big-endian), then its own bytes
// and the end; the server reads to the end and then sends what was asked for.
import { read, send } from './streams.mjs'

export const PERF = '/perf/1.0.0'
const CHUNK = new Uint8Array(65536)

export async function servePerf (node) {
  await node.handle(PERF, async stream => {
    const header = new Uint8Array(8)
    let got = 0
    for await (const bytes of read(stream)) {
      if (got < 8) {
        const head = bytes.subarray(0, 8 - got)
        header.set(head, got)
        got += head.byteLength
      }
    }
    if (got < 8) return stream.abort(new Error('the stream ended inside the header'))
    await sendZeros(stream, new DataView(header.buffer).getBigUint64(0))
    await stream.close()
  }, { maxInboundStreams: 100 })
}

/** Uploads and downloads; returns the bytes received and the seconds from opening the stream to its end. */
export async function runPerf (connection, upload, download) {
  const start = performance.now()
  const stream = await connection.newStream(PERF)
  const header = new Uint8Array(8)
  new DataView(header.buffer).setBigUint64(0, BigInt(download))
  await send(stream, header)
  await sendZeros(stream, BigInt(upload))
  await stream.close()
  let received = 0
  for await (const chunk of read(stream)) received += chunk.byteLength
  return { received, seconds: (performance.now() - start) / 1000 }
}

async function sendZeros (stream, count) {
  for (let left = count; left > 0n;) {
    const chunk = left >= BigInt(CHUNK.byteLength) ? CHUNK : CHUNK.subarray(0, Number(left))
    left -= BigInt(chunk.byteLength)
    if (!stream.send(chunk)) await stream.onDrain()
  }
}
