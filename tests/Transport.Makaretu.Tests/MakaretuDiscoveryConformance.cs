using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Tests.Discovery.Conformance;

namespace FastShare.Transport.Makaretu.Tests;

/// <summary>The adapter on the real package and real sockets; its neighbours are FastShare's own mDNS.</summary>
public sealed class MakaretuDiscoveryConformance : LiveDiscoveryConformance
{
    protected override LiveDiscoveryLink CreateLiveLink()
    {
        LoopbackOnly.Require();
        return new Link();
    }

    private sealed class Link : LiveDiscoveryLink
    {
        private readonly string _service = $"_fs{Guid.NewGuid():N}._udp.local";
        private readonly Dictionary<PeerId, (MdnsDiscovery Discovery, Multiaddr[] Addresses)> _neighbours = [];

        public override IPeerDiscovery Create() => new MakaretuDiscovery(new MakaretuOptions { ServiceName = _service });

        public override Multiaddr Address(int number) => Multiaddr.Parse($"/ip4/127.0.0.1/tcp/{4000 + number}");

        public override async ValueTask AnnounceAsync(PeerId peer, params Multiaddr[] addresses)
        {
            if (_neighbours.TryGetValue(peer, out var known) && known.Addresses.SequenceEqual(addresses)) return; // it announces twice anyway
            await LeaveAsync(peer);
            var neighbour = new MdnsDiscovery(new MdnsOptions { ServiceName = _service, Interfaces = ["lo"] });
            _neighbours[peer] = (neighbour, addresses);
            await neighbour.StartAsync(peer, addresses, _ => { }, TestContext.Current.CancellationToken);
        }

        public override async ValueTask LeaveAsync(PeerId peer)
        {
            if (_neighbours.Remove(peer, out var known)) await known.Discovery.DisposeAsync();
        }

        public override async ValueTask DisposeAsync()
        {
            foreach (PeerId peer in _neighbours.Keys.ToArray()) await LeaveAsync(peer);
        }
    }
}
