// A js-libp2p node with the protocols that the tests and measurements need.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { mdns } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { plaintext } from '@libp2p/plaintext'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

/**
 * @param {object} options
 * @param {'noise'|'plaintext'} [options.security]
 * @param {string[]} [options.listen] multiaddrs; none: dials only
 * @param {boolean} [options.mdns]
 * @param {number} [options.mdnsInterval] milliseconds between queries
 * @param {(peer: import('@libp2p/interface').PeerInfo) => void} [onFound] called for every peer that mDNS finds, each time
 */
export async function createNode (options = {}, onFound = () => {}) {
  const security = options.security ?? 'noise'
  if (security !== 'noise' && security !== 'plaintext') throw new Error(`unknown security '${security}'`)
  return await createLibp2p({
    addresses: { listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [security === 'noise' ? noise() : plaintext()],
    streamMuxers: [yamux()],
    peerDiscovery: options.mdns ? [watched(mdns({ interval: options.mdnsInterval ?? 2000 }), onFound)] : [],
    // The default lets in five connections a second from one host; tests come from one host.
    connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 100 },
    // The monitor drops a connection whose pings fail; the tests watch connections themselves.
    connectionMonitor: { enabled: false },
    services: { ping: ping({ maxInboundStreams: 8 }), identify: identify() }
  })
}

// The node's own discovery event also tells of peers that merely connected; the discovery's does not.
function watched (discovery, onFound) {
  return components => {
    const made = discovery(components)
    made.addEventListener('peer', event => onFound(event.detail))
    return made
  }
}
