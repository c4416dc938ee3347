using System.Net;
using BenchmarkDotNet.Attributes;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Benchmarks;

/// <summary>mDNS messages as libp2p's peers announce themselves: PTR, TXT, SRV and two addresses.</summary>
[MemoryDiagnoser]
public class DnsBenchmarks
{
    private readonly MdnsServiceNames _names = MdnsServiceNames.Create("_p2p._udp.local");
    private readonly List<DnsRecord> _records = [];
    private byte[] _announcement = [];

    [GlobalSetup]
    public void SetUp()
    {
        using var identity = PeerIdentity.Generate();
        IPEndPoint[] endpoints = [new(IPAddress.Parse("192.0.2.7"), 4001), new(IPAddress.Parse("2001:db8::7"), 4001)];
        _announcement = MdnsRecords.Create(_names, identity.PeerId, endpoints, ttl: 120)!.Packet(default);
        DnsMessageReader.TryRead(_announcement, out DnsMessage? message);
        _records.AddRange([.. message!.Answers, .. message.Additionals]);
    }

    /// <summary>The datagram of an announcement.</summary>
    [Benchmark]
    public byte[] EncodeAnnouncement()
    {
        var writer = new DnsMessageWriter(isResponse: true, MdnsRecords.MaxDatagram);
        writer.TryAddAnswer(_records[0]);
        for (int i = 1; i < _records.Count; i++) writer.TryAddAdditional(_records[i]);
        return writer.ToArray();
    }

    /// <summary>A received announcement as records.</summary>
    [Benchmark]
    public bool ParseAnnouncement() => DnsMessageReader.TryRead(_announcement, out _);

    /// <summary>The query that every node sends now and then.</summary>
    [Benchmark]
    public byte[] EncodeQuery()
    {
        var writer = new DnsMessageWriter(isResponse: false, MdnsRecords.MaxDatagram);
        writer.TryAddQuestion(_names.Service, DnsType.Ptr);
        return writer.ToArray();
    }
}
