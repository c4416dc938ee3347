// Reading and writing libp2p streams with back-pressure.
import { createHash, randomFillSync } from 'node:crypto'

/** Sends bytes in slices, waiting while the stream's buffer is full. */
export async function send (stream, bytes) {
  for (let at = 0; at < bytes.byteLength; at += 65536) {
    if (!stream.send(bytes.subarray(at, at + 65536))) await stream.onDrain()
  }
}

/**
 * The bytes of a stream as Uint8Arrays; throws if the stream was reset. A stream's own iterator waits for ever when the remote
 * side had ended its direction before the iteration began, so this looks first.
 */
export async function * read (stream) {
  const chunks = []
  let ended = false
  let error
  let wake = () => {}
  const onMessage = event => {
    if (event.data instanceof Uint8Array) chunks.push(event.data)
    else chunks.push(...event.data)
    wake()
  }
  const onEnd = () => {
    ended = true
    wake()
  }
  const onClose = event => {
    error = event.error
    if (error != null) onEnd()
  }
  stream.addEventListener('end', onEnd)
  stream.addEventListener('close', onClose)
  stream.addEventListener('message', onMessage)
  if (stream.readableEnded) onEnd()
  if (stream.status === 'reset' || stream.status === 'aborted') error = new Error(`the stream was ${stream.status}`)
  try {
    while (true) {
      while (chunks.length > 0) yield chunks.shift()
      if (error != null) throw error
      // Negotiation gives back what it read too far, even after the end was told.
      if (ended && stream.readBufferLength === 0) return
      await new Promise(resolve => { wake = resolve })
    }
  } finally {
    stream.removeEventListener('end', onEnd)
    stream.removeEventListener('close', onClose)
    stream.removeEventListener('message', onMessage)
  }
}

/** Reads to the end of the stream: the number of bytes and their SHA-256. */
export async function drain (stream) {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of read(stream)) {
    hash.update(chunk)
    bytes += chunk.byteLength
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Reads to the end of the stream. */
export async function collect (stream) {
  const chunks = []
  for await (const chunk of read(stream)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export function random (size) {
  return randomFillSync(new Uint8Array(size))
}

export function sha256 (bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
