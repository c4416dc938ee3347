// A js-libp2p peer under the control of a test.
//   node peer.mjs '{"security":"noise","listen":["/ip4/127.0.0.1/tcp/0"],"mdns":false}'
// Standard input: one command a line, {"id":1,"do":"ping","peer":"…"}. Standard output: one answer or event a line,
// {"id":1,"result":…}, {"id":1,"error":"…"} or {"event":"…",…}. Ends when its standard input does.
import { createInterface } from 'node:readline'
import { decode, encode } from 'cborg'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { createNode } from './lib/node.mjs'
import { runPerf, servePerf } from './lib/perf.mjs'
import { collect, drain, random, read, send, sha256 } from './lib/streams.mjs'

const ECHO = '/interop/echo/1' // sends back what comes, as it comes
const DIGEST = '/interop/digest/1' // reads to the end, answers the SHA-256 as 64 hexadecimal digits
const EARLY = '/interop/early/1' // answers and ends its side first, then reads to the end
const RESET = '/interop/reset/1' // reads something, then resets

// Requests as request-response has them: the stream's end is the message's end.
const REVERSE = '/interop/reverse/1' // answers the bytes in reverse order
const SUM = '/interop/sum/1' // {"label":text,"numbers":[…],"bytes":[…]} → {"label":text,"total":number,"bytes":[…]}, JSON
const HANG_UP = '/interop/hang-up/1' // reads the request, then ends the connection
const RESET_ANSWER = '/interop/reset-answer/1' // reads the request, begins to answer, then resets
const SILENT = '/interop/silent/1' // reads the request, ends without an answer
const FILES = '/fastshare/samples/files/1' // CBOR {name, content} → {bytes, sha256}: the receiver of tools/FastShare.Samples.QueuedFiles

const write = message => process.stdout.write(JSON.stringify(message) + '\n')
const found = ({ id, multiaddrs }) => write({ event: 'found', peer: id.toString(), addresses: multiaddrs.map(String) })
const node = await createNode(JSON.parse(process.argv[2] ?? '{}'), found)
const identified = new Map() // peer id text → the promise of what identify tells, and its resolver

function identifyOf (peer) {
  if (!identified.has(peer)) {
    let resolve
    const result = new Promise(r => { resolve = r })
    identified.set(peer, { result, resolve })
  }
  return identified.get(peer)
}

node.addEventListener('peer:identify', ({ detail }) => identifyOf(detail.peerId.toString()).resolve({
  agentVersion: detail.agentVersion ?? null,
  protocolVersion: detail.protocolVersion ?? null,
  listenAddresses: detail.listenAddrs.map(String),
  protocols: detail.protocols,
  observedAddress: detail.observedAddr?.toString() ?? null
}))
node.addEventListener('connection:open', ({ detail }) => write({ event: 'opened', ...describe(detail) }))
node.addEventListener('connection:close', ({ detail }) => write({ event: 'closed', ...describe(detail) }))

const many = { maxInboundStreams: 1000, maxOutboundStreams: 1000 }
await servePerf(node)
await node.handle(ECHO, async stream => {
  for await (const chunk of read(stream)) {
    if (!stream.send(chunk)) await stream.onDrain()
  }
  await stream.close()
}, many)
await node.handle(DIGEST, async stream => {
  const { sha256: digest } = await drain(stream)
  await send(stream, new TextEncoder().encode(digest))
  await stream.close()
}, many)
await node.handle(EARLY, async (stream, connection) => {
  await send(stream, new TextEncoder().encode('early'))
  await stream.close()
  write({ event: 'drained', peer: connection.remotePeer.toString(), ...await drain(stream) })
}, many)
await node.handle(RESET, async stream => {
  for await (const chunk of read(stream)) {
    if (chunk.byteLength > 0) break
  }
  stream.abort(new Error('reset by test'))
}, many)

async function answer (protocol, respond) {
  await node.handle(protocol, async (stream, connection) => {
    const response = await respond(await collect(stream), stream, connection)
    if (response == null) return
    await send(stream, response)
    await stream.close()
  }, many)
}

function sumOf ({ label, numbers, bytes }) {
  return { label, total: numbers.reduce((a, b) => a + b, 0), bytes: bytes.toReversed() }
}

await answer(REVERSE, request => request.reverse())
await answer(SUM, request => new TextEncoder().encode(JSON.stringify(sumOf(JSON.parse(new TextDecoder().decode(request))))))
await answer(HANG_UP, async (_, stream, connection) => { connection.abort(new Error('hung up by test')) })
await answer(RESET_ANSWER, async (_, stream) => {
  await send(stream, new Uint8Array(10))
  stream.abort(new Error('reset by test'))
})
await answer(SILENT, () => new Uint8Array(0))
await answer(FILES, (request, _, connection) => {
  const { name, content } = decode(request)
  write({ event: 'file', peer: connection.remotePeer.toString(), name, bytes: content.byteLength, sha256: sha256(content) })
  return encode({ bytes: content.byteLength, sha256: sha256(content) })
})

async function request (peer, protocol, bytes) {
  const stream = await open(peer, protocol)
  const response = collect(stream)
  await send(stream, bytes)
  await stream.close()
  return await response
}

function describe (connection) {
  return {
    peer: connection.remotePeer.toString(),
    address: connection.remoteAddr.toString(),
    direction: connection.direction,
    security: connection.encryption ?? null,
    muxer: connection.multiplexer ?? null
  }
}

function connectionTo (peer) {
  const [connection] = node.getConnections(peerIdFromString(peer))
  if (connection == null) throw new Error(`no connection to ${peer}`)
  return connection
}

async function open (peer, protocol) {
  return await connectionTo(peer).newStream(protocol, many)
}

async function echoOnce (peer, size) {
  const stream = await open(peer, ECHO)
  const bytes = random(size)
  const answer = drain(stream)
  await send(stream, bytes)
  await stream.close()
  const { bytes: length, sha256: digest } = await answer
  if (length !== size || digest !== sha256(bytes)) throw new Error(`sent ${size} bytes, ${length} came back, or others`)
  return length
}

const commands = {
  dial: async ({ address }) => describe(await node.dial(multiaddr(address))),
  ping: async ({ peer }) => await node.services.ping.ping(peerIdFromString(peer)),
  identify: async ({ peer }) => await identifyOf(peer).result,
  perf: async ({ peer, upload, download }) => await runPerf(connectionTo(peer), upload, download),
  echo: async ({ peer, sizes }) => (await Promise.all(sizes.map(size => echoOnce(peer, size)))).reduce((a, b) => a + b, 0),
  digest: async ({ peer, size, protocol }) => {
    const stream = await open(peer, protocol ?? DIGEST)
    const bytes = random(size)
    const answer = collect(stream)
    await send(stream, bytes)
    await stream.close()
    return { sent: sha256(bytes), answered: new TextDecoder().decode(await answer) }
  },
  // One request, its bytes as Base64; so is the response.
  request: async ({ peer, protocol, body }) => (await request(peer, protocol, Buffer.from(body, 'base64'))).toString('base64'),
  // Requests in JSON, all at once; the responses in their order.
  sums: async ({ peer, requests }) => await Promise.all(requests.map(async value =>
    JSON.parse(new TextDecoder().decode(await request(peer, SUM, new TextEncoder().encode(JSON.stringify(value))))))),
  // The answer and its end come first; only then is the request sent.
  early: async ({ peer, size }) => {
    const stream = await open(peer, EARLY)
    const answered = new TextDecoder().decode(await collect(stream))
    const bytes = random(size)
    await send(stream, bytes)
    await stream.close()
    return { sent: sha256(bytes), answered }
  },
  // Opens a stream, sends something and resets it.
  reset: async ({ peer, protocol }) => {
    const stream = await open(peer, protocol)
    await send(stream, random(1000))
    await new Promise(resolve => setTimeout(resolve, 20))
    stream.abort(new Error('reset by test'))
  },
  // Opens a stream, sends something and waits for the other side's reset.
  awaitReset: async ({ peer, protocol }) => {
    const stream = await open(peer, protocol)
    const closed = new Promise(resolve => stream.addEventListener('close', event => resolve(event.error?.name ?? null), { once: true }))
    await send(stream, random(1000))
    return await closed
  },
  unsupported: async ({ peer }) => {
    try {
      await open(peer, '/interop/nobody-speaks-this/1')
    } catch (error) {
      return error.name
    }
    return null
  },
  hangUp: async ({ peer }) => await node.hangUp(peerIdFromString(peer)),
  connections: ({ peer }) => node.getConnections(peerIdFromString(peer)).map(describe)
}

write({ event: 'listening', peer: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) })
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  Promise.resolve()
    .then(() => commands[command.do](command))
    .then(result => write({ id: command.id, result: result ?? null }))
    .catch(error => write({ id: command.id, error: `${error.name}: ${error.message}` }))
}
await node.stop()
process.exit(0)
