// Reading and writing libp2p streams with back-pressure.
import { createHash, randomFillSync } from 'node:crypto'

/** Sends bytes in slices, waiting while the stream's buffer is full. */
export async function send (stream, bytes) {
  for (let at = 0; at < bytes.byteLength; at += 65536) {
    if (!stream.send(bytes.subarray(at, at + 65536))) await stream.onDrain()
  }
}

/** Reads to the end of the stream: the number of bytes and their SHA-256. */
export async function drain (stream) {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    for (const part of parts(chunk)) hash.update(part)
    bytes += chunk.byteLength
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** A stream yields Uint8Arrays or lists of them. */
export function parts (chunk) {
  return chunk instanceof Uint8Array ? [chunk] : chunk
}

export function random (size) {
  return randomFillSync(new Uint8Array(size))
}

export function sha256 (bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
