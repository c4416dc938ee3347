using System.Net;
using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>
/// Cores on one network in virtual time: every datagram reaches everyone, its sender too, in order and after a millisecond, unless lost.
/// The same seed gives the same run.
/// </summary>
internal sealed class MdnsSimulation(int seed = 1)
{
    public const int Link = 1;

    private static readonly TimeSpan Latency = TimeSpan.FromMilliseconds(1);

    private readonly Random _random = new(seed);
    private readonly Queue<(TimeSpan Arrival, IPEndPoint Source, byte[] Payload)> _inFlight = new();

    public List<SimulatedNode> Nodes { get; } = [];

    public TimeSpan Now { get; private set; }

    /// <summary>The part of datagrams that get lost, per receiver.</summary>
    public double Loss { get; set; }

    /// <summary>Every datagram that was sent, with its time and sender.</summary>
    public List<(TimeSpan At, IPEndPoint Source, DnsMessage Message, byte[] Bytes)> Sent { get; } = [];

    public SimulatedNode Add(string? listen = "/ip4/0.0.0.0/tcp/4001", Func<MdnsCoreSettings, MdnsCoreSettings>? configure = null)
    {
        int number = Nodes.Count + 1;
        IPAddress address = IPAddress.Parse($"10.0.{number >> 8}.{number & 0xff}");
        var node = new SimulatedNode(number, address, listen, configure ?? (s => s), _random.Next());
        Nodes.Add(node);
        node.Core.SetLinks(Now, [node.Interface]);
        Settle(node);
        return node;
    }

    /// <summary>Lets time pass, doing everything that comes due on the way.</summary>
    public void Run(TimeSpan duration)
    {
        TimeSpan end = Now + duration;
        while (true)
        {
            TimeSpan next = _inFlight.TryPeek(out var first) ? first.Arrival : TimeSpan.MaxValue;
            foreach (SimulatedNode node in Nodes) next = node.Next < next ? node.Next : next;
            if (next > end) break;
            Now = next > Now ? next : Now;
            while (_inFlight.TryPeek(out var delivery) && delivery.Arrival <= Now)
            {
                _inFlight.Dequeue();
                foreach (SimulatedNode receiver in Nodes)
                {
                    if (Loss > 0 && _random.NextDouble() < Loss) continue;
                    receiver.Core.Receive(Now, Link, delivery.Source, delivery.Payload);
                    Settle(receiver);
                }
            }

            foreach (SimulatedNode node in Nodes)
            {
                if (node.Next <= Now) Settle(node);
            }
        }

        Now = end;
    }

    public void Run(double seconds) => Run(TimeSpan.FromSeconds(seconds));

    /// <summary>Removes a node without a word, as a crash or a pulled cable does.</summary>
    public void Crash(SimulatedNode node) => Nodes.Remove(node);

    /// <summary>Ends a node in order.</summary>
    public void Stop(SimulatedNode node)
    {
        node.Core.Stop(Now);
        Deliver(node);
        Nodes.Remove(node);
    }

    /// <summary>A datagram from somebody who is not a core.</summary>
    public void Inject(string source, byte[] payload)
    {
        _inFlight.Enqueue((Now, IPEndPoint.Parse(source), payload));
        Run(TimeSpan.Zero);
    }

    public void Settle(SimulatedNode node)
    {
        node.Next = node.Core.Advance(Now);
        Deliver(node);
        node.Events.AddRange(node.Core.Events);
        node.Core.Events.Clear();
    }

    private void Deliver(SimulatedNode node)
    {
        foreach (MdnsPacket packet in node.Core.Packets)
        {
            if (!DnsMessageReader.TryRead(packet.Payload, out DnsMessage? message) || packet.Payload.Length > MdnsRecords.MaxDatagram)
                throw new InvalidOperationException("a core sent what cannot be read, or is too long");
            Sent.Add((Now, node.Source, message, packet.Payload));
            _inFlight.Enqueue((Now + Latency, node.Source, packet.Payload));
        }

        node.Core.Packets.Clear();
    }
}

internal sealed class SimulatedNode
{
    public SimulatedNode(int number, IPAddress address, string? listen, Func<MdnsCoreSettings, MdnsCoreSettings> configure, int seed)
    {
        Id = Peers.Id(number);
        Names = MdnsServiceNames.Create("_p2p._udp.local");
        Interface = new MdnsLink(MdnsSimulation.Link, "eth0", false, [new LinkAddress(address, 16)]);
        Source = new IPEndPoint(address, MdnsCore.Port);
        Core = new MdnsCore(configure(new MdnsCoreSettings
        {
            Self = Id,
            ListenAddresses = listen is null ? [] : [Multiaddr.Parse(listen)],
            Names = Names,
            Random = new Random(seed),
        }));
    }

    public PeerId Id { get; }

    public MdnsServiceNames Names { get; }

    public MdnsLink Interface { get; }

    public IPEndPoint Source { get; }

    public MdnsCore Core { get; }

    public TimeSpan Next { get; set; }

    public List<DiscoveryEvent> Events { get; } = [];

    public IEnumerable<DiscoveryEvent> Found => Events.Where(e => e.Kind == DiscoveryEventKind.Found);

    public IEnumerable<DiscoveryEvent> Expired => Events.Where(e => e.Kind == DiscoveryEventKind.Expired);
}

/// <summary>Made-up peers.</summary>
internal static class Peers
{
    /// <summary>An Ed25519 peer id whose key is only a number.</summary>
    public static PeerId Id(int number)
    {
        byte[] key = new byte[32];
        BitConverter.TryWriteBytes(key, number);
        return PeerId.FromBytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20, .. key]);
    }
}
