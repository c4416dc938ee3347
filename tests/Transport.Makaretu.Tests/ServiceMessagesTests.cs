using System.Net;
using FastShare.Transport.Identity;
using FastShare.Transport.Makaretu.Internal;
using FastShare.Transport.Tests.Discovery.Conformance;
using Makaretu.Dns;

namespace FastShare.Transport.Makaretu.Tests;

/// <summary>What the adapter writes, and what it takes from what others write, as bytes of the real package.</summary>
public sealed class ServiceMessagesTests
{
    private const string Service = "_p2p._udp.local";
    private static readonly PeerId Peer = Ids.Of(7), Other = Ids.Of(8);
    private static readonly IPEndPoint Source = IPEndPoint.Parse("10.0.0.7:5353");

    private readonly ServiceMessages _messages = new(Service);

    [Fact]
    public void An_announcement_has_the_layout_that_every_libp2p_reads()
    {
        Message read = Wire(_messages.Announcement(Peer, [IPEndPoint.Parse("10.0.0.7:4001"), IPEndPoint.Parse("[fd00::7]:4001")])!);
        Assert.True(read is { QR: true, AA: true, Questions.Count: 0 });
        PTRRecord pointer = Assert.IsType<PTRRecord>(Assert.Single(read.Answers));
        Assert.Equal((Service, DnsClass.IN, 120), (pointer.Name.ToString(), pointer.Class, (int)pointer.TTL.TotalSeconds));
        Assert.InRange(pointer.DomainName.Labels[0].Length, 32, 63);
        TXTRecord text = Assert.Single(read.AdditionalRecords.OfType<TXTRecord>());
        Assert.Equal(pointer.DomainName, text.Name);
        Assert.Equal([$"dnsaddr=/ip4/10.0.0.7/tcp/4001/p2p/{Peer}", $"dnsaddr=/ip6/fd00::7/tcp/4001/p2p/{Peer}"], text.Strings);
        SRVRecord service = Assert.Single(read.AdditionalRecords.OfType<SRVRecord>());
        Assert.Equal(4001, service.Port);
        Assert.Equal(2, read.AdditionalRecords.OfType<AddressRecord>().Count(a => a.Name == service.Target));
        Assert.All(read.AdditionalRecords, record => Assert.Equal(0x8001, (ushort)record.Class));
    }

    [Fact]
    public void The_largest_announcement_fits_one_datagram()
    {
        IPEndPoint[] many = [.. Enumerable.Range(0, 40).Select(i => new IPEndPoint(IPAddress.Parse($"10.100.100.{100 + i}"), 65535))];
        Assert.True(_messages.Announcement(Peer, many)!.ToByteArray().Length <= 1400);
        (string, TimeSpan)[] known = [.. Enumerable.Range(0, 100).Select(i => (i.ToString("D63"), TimeSpan.FromSeconds(100)))];
        Assert.True(_messages.Query(known).ToByteArray().Length <= 1400);
    }

    [Fact]
    public void Its_own_announcement_is_read_back_and_its_goodbye_too()
    {
        Message announcement = Wire(_messages.Announcement(Peer, [IPEndPoint.Parse("10.0.0.7:4001")])!);
        Sighting sighting = Assert.Single(Read(announcement));
        Assert.Equal((Peer, TimeSpan.FromSeconds(120), true), (sighting.Peer, sighting.TimeToLive, sighting.ReplacesEarlier));
        var goodbyes = new List<string>();
        Assert.Empty(_messages.Read(Wire(_messages.Goodbye()), Source, false, goodbyes));
        Assert.Equal([sighting.Instance], goodbyes);
    }

    [Fact]
    public void A_query_that_lists_this_node_is_not_answered()
    {
        string us = Assert.Single(Read(Wire(_messages.Announcement(Peer, [IPEndPoint.Parse("10.0.0.7:4001")])!))).Instance;
        Assert.True(_messages.AsksForUs(Wire(_messages.Query([]))));
        Assert.False(_messages.AsksForUs(Wire(_messages.Query([(us, TimeSpan.FromSeconds(61))]))));
        Assert.True(_messages.AsksForUs(Wire(_messages.Query([(us, TimeSpan.FromSeconds(59))]))));
        Assert.False(new ServiceMessages("_other._udp.local").AsksForUs(Wire(_messages.Query([]))));
    }

    [Theory]
    [InlineData("dnsaddr=/ip4/10.0.0.7/tcp/4001/p2p/PEER", true)]
    [InlineData("dnsaddr=/ip4/10.0.0.7/tcp/4001", false)]
    [InlineData("dnsaddr=/ip4/10.0.0.7/tcp/0/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip4/10.0.0.7/udp/4001/quic-v1/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip4/127.0.0.1/tcp/4001/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip4/224.0.0.1/tcp/4001/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip4/0.0.0.0/tcp/4001/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip6/fe80::1/tcp/4001/p2p/PEER", false)] // from an IPv4 source: on which interface?
    [InlineData("dnsaddr=/dns4/example.com/tcp/4001/p2p/PEER", false)]
    [InlineData("dnsaddr=/ip4/10.0.0.7/tcp/4001/p2p/OTHER/p2p-circuit/p2p/PEER", false)]
    [InlineData("dnsaddr=", false)]
    [InlineData("DNSADDR=/ip4/10.0.0.7/tcp/4001/p2p/PEER", false)]
    [InlineData("", false)]
    [InlineData("dnsaddr=\u0000\u0001", false)]
    public void What_a_string_must_be_to_count(string text, bool counts)
    {
        text = text.Replace("PEER", Peer.ToString(), StringComparison.Ordinal).Replace("OTHER", Other.ToString(), StringComparison.Ordinal);
        Message message = Response("x", text, $"dnsaddr=/ip4/10.0.0.9/tcp/1/p2p/{Peer}");
        Assert.Equal(counts ? 2 : 1, Assert.Single(Read(message)).Addresses.Count);
    }

    [Fact]
    public void Loopback_counts_from_this_host_and_a_link_local_address_with_the_scope_of_its_source()
    {
        Message loopback = Response("x", $"dnsaddr=/ip4/127.0.0.1/tcp/4001/p2p/{Peer}");
        Assert.Empty(_messages.Read(loopback, Source, fromThisHost: false, []));
        Assert.Single(_messages.Read(loopback, Source, fromThisHost: true, []));

        var near = new IPEndPoint(new IPAddress(IPAddress.Parse("fe80::1").GetAddressBytes(), 3), 5353);
        Message scoped = Response("x", $"dnsaddr=/ip6/fe80::1/tcp/4001/p2p/{Peer}");
        Multiaddr address = Assert.Single(Assert.Single(_messages.Read(scoped, near, false, [])).Addresses);
        Assert.True(address.TryGetTcpEndPoint(out IPEndPoint? endpoint));
        Assert.Equal(3, endpoint.Address.ScopeId);
    }

    [Fact]
    public void One_instance_speaks_for_one_peer_and_a_response_for_a_few_strings()
    {
        Message two = Response("x", $"dnsaddr=/ip4/10.0.0.7/tcp/1/p2p/{Peer}", $"dnsaddr=/ip4/10.0.0.8/tcp/1/p2p/{Other}");
        Assert.Equal(Peer, Assert.Single(Assert.Single(Read(two)).Addresses).PeerId);
        Message many = Response("x", [.. Enumerable.Range(1, 80).Select(i => $"dnsaddr=/ip4/10.0.0.7/tcp/{i}/p2p/{Peer}")]);
        Assert.Equal(64, Assert.Single(Read(many)).Addresses.Count);
    }

    [Fact]
    public void A_table_stays_within_its_bounds()
    {
        var table = new PeerTable(Ids.Of(1), maxPeers: 10, maxAddresses: 3);
        var events = new List<Transport.Discovery.DiscoveryEvent>();
        for (int i = 2; i < 1000; i++)
        {
            Multiaddr[] addresses = [.. Enumerable.Range(1, 9).Select(n => Multiaddr.Parse($"/ip4/10.0.0.7/tcp/{n}").WithPeerId(Ids.Of(i)))];
            table.Saw(TimeSpan.FromSeconds(i), new Sighting($"i{i}", Ids.Of(i), addresses, TimeSpan.FromMinutes(75), false), events);
        }

        Assert.Equal(10, table.Known(TimeSpan.FromSeconds(1000)).Count());
        Assert.Equal(998 * 3, events.Where(e => e.Kind == Transport.Discovery.DiscoveryEventKind.Found).Sum(e => e.Addresses.Count));
        Assert.Equal(988, events.Count(e => e.Kind == Transport.Discovery.DiscoveryEventKind.Expired));
    }

    private List<Sighting> Read(Message message) => _messages.Read(message, Source, fromThisHost: false, []);

    private static Message Response(string instance, params string[] strings)
    {
        var message = new Message { QR = true };
        var name = new DomainName($"{instance}.{Service}");
        message.Answers.Add(new PTRRecord { Name = Service, DomainName = name, TTL = TimeSpan.FromSeconds(120) });
        var text = new TXTRecord { Name = name, TTL = TimeSpan.FromSeconds(120) };
        text.Strings.AddRange(strings);
        message.AdditionalRecords.Add(text);
        return Wire(message);
    }

    private static Message Wire(Message message) => (Message)new Message().Read(message.ToByteArray());
}
