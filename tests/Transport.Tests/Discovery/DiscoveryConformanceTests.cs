using System.Net;
using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Tests.Discovery.Conformance;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Discovery;

public sealed class InMemoryDiscoveryConformance : LiveDiscoveryConformance
{
    protected override LiveDiscoveryLink CreateLiveLink() => new Link();

    private sealed class Link : LiveDiscoveryLink
    {
        private readonly InMemoryDiscoveryHub _hub = new();

        public override IPeerDiscovery Create() => new InMemoryDiscovery(_hub);

        public override ValueTask AnnounceAsync(PeerId peer, params Multiaddr[] addresses)
        {
            _hub.Announce(peer, addresses);
            return ValueTask.CompletedTask;
        }

        public override ValueTask LeaveAsync(PeerId peer)
        {
            _hub.Expire(peer);
            return ValueTask.CompletedTask;
        }
    }
}

public sealed class StaticDiscoveryConformance : DiscoveryConformance
{
    protected override DiscoveryLink CreateLink() => new Link();

    private sealed class Link : DiscoveryLink
    {
        private readonly List<Multiaddr> _list = [];

        public override IPeerDiscovery Create() => new StaticDiscovery(_list);

        public override ValueTask AnnounceAsync(PeerId peer, params Multiaddr[] addresses)
        {
            _list.AddRange(addresses.Select(a => a.WithPeerId(peer)));
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>The engine and the core in virtual time, on ports that a test feeds.</summary>
public sealed class MdnsDiscoveryConformance : LiveDiscoveryConformance
{
    protected override LiveDiscoveryLink CreateLiveLink() => new Link();

    private sealed class Link : LiveDiscoveryLink
    {
        private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10);

        private readonly FakeTimeProvider _time = new();
        private readonly FakeMdnsNetwork _network = new();
        private readonly List<(PeerId Peer, byte[] Packet)> _early = []; // announced before anyone listened
        private readonly Dictionary<PeerId, string> _sources = [];

        public Link() => _network.Set(
            new MdnsLink(2, "eth0", false, [new LinkAddress(IPAddress.Parse("10.0.0.99"), 24)]));

        public override IPeerDiscovery Create() => new MdnsDiscovery(new MdnsOptions { TimeProvider = _time }, _network);

        public override async ValueTask StartAsync(IPeerDiscovery discovery, PeerId self, Action<DiscoveryEvent> sink)
        {
            await base.StartAsync(discovery, self, sink);
            foreach ((PeerId peer, byte[] packet) in _early) Send(peer, packet);
        }

        public override async ValueTask AnnounceAsync(PeerId peer, params Multiaddr[] addresses)
        {
            byte[] packet = MdnsPackets.Announcement(peer, Instance(peer), 120, addresses.Select(a => a.ToString()));
            if (_network.Ports.Count == 0) _early.Add((peer, packet));
            // What was said within the last second is not replaced (RFC 6762, 10.2).
            for (int i = 0; i < 110 && _network.Ports.Count > 0; i++) _time.Advance(Step);
            Send(peer, packet);
            await Task.Yield();
        }

        public override ValueTask LeaveAsync(PeerId peer)
        {
            Send(peer, MdnsPackets.Response([MdnsPackets.Pointer(Instance(peer), ttl: 0)]));
            return ValueTask.CompletedTask;
        }

        public override ValueTask PassAsync()
        {
            _time.Advance(Step);
            return base.PassAsync();
        }

        private static string Instance(PeerId peer) => Convert.ToHexStringLower(peer.Bytes.Slice(6, 8));

        // Every peer announces from the address of its first announcement: the source counts as an address.
        private void Send(PeerId peer, byte[] packet)
        {
            string source = _sources.TryGetValue(peer, out string? known) ? known : _sources[peer] = FirstAddress(packet);
            foreach (FakeMdnsPort port in _network.Ports) port.Receive(source, packet);
        }

        private static string FirstAddress(byte[] packet)
        {
            string text = System.Text.Encoding.Latin1.GetString(packet);
            int at = text.IndexOf("/ip4/", StringComparison.Ordinal) + 5;
            return text[at..text.IndexOf('/', at)] + ":5353";
        }
    }
}
