using System.Net;
using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>What a core makes of what others send, the well-meaning and the hostile.</summary>
public sealed class MdnsReceiverTests
{
    private const string Near = "10.0.0.7:5353";
    private static readonly PeerId Peer = Peers.Id(70);
    private static readonly PeerId Other = Peers.Id(71);

    private readonly MdnsSimulation _lan = new();
    private readonly SimulatedNode _node;

    public MdnsReceiverTests() => _node = _lan.Add();

    private static string Text(string address, PeerId? peer = null) => $"dnsaddr={address}/p2p/{peer ?? Peer}";

    private string[] Found() => [.. _node.Found.SelectMany(e => e.Addresses).Select(a => a.WithoutPeerId()!.ToString())];

    [Fact]
    public void The_layout_of_rust_is_read_a_text_record_for_each_address_and_a_new_name_each_time()
    {
        for (int i = 0; i < 20; i++)
        {
            string name = $"Rust{i}MiXeD";
            _lan.Inject("10.0.0.7:39000", MdnsPackets.Response([MdnsPackets.Pointer(name, 360)],
                MdnsPackets.Text(name, 360, true, Text("/ip4/10.0.0.7/tcp/1")),
                MdnsPackets.Text(name, 360, true, Text("/ip6/fd00::7/tcp/1"))));
            _lan.Run(10);
        }

        Assert.Equal(["/ip4/10.0.0.7/tcp/1", "/ip6/fd00::7/tcp/1"], Found());
        Assert.Single(_node.Events);
        // each name is listed as known only while it is the newest
        DnsMessage query = _lan.Sent.Last(s => !s.Message.IsResponse).Message;
        Assert.StartsWith("Rust", Assert.Single(query.Answers).Target!.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_layout_of_js_is_read_everything_in_the_answers()
    {
        _lan.Inject(Near, MdnsPackets.Response([MdnsPackets.Pointer("js"),
            MdnsPackets.Text("js", 120, false, Text("/ip4/10.0.0.7/tcp/1")),
            MdnsPackets.Text("js", 120, false, Text("/ip4/10.0.0.8/tcp/1"))]));
        Assert.Equal(["/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.8/tcp/1"], Found());
    }

    [Fact]
    public void The_layout_of_go_is_read_all_strings_in_one_record_and_its_goodbye()
    {
        byte[] packet = MdnsPackets.Announcement(Peer, "go", 3200, "/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.7/udp/1/quic-v1");
        _lan.Inject(Near, packet);
        Assert.Equal(["/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.7/udp/1/quic-v1"], Found());
        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "go", 0, "/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.7/udp/1/quic-v1"));
        _lan.Run(2);
        Assert.Equal(2, Assert.Single(_node.Expired).Addresses.Count);
    }

    [Fact]
    public void A_time_to_live_of_zero_of_the_text_takes_its_addresses_back()
    {
        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 120, "/ip4/10.0.0.7/tcp/1"));
        _lan.Inject(Near, MdnsPackets.Response([MdnsPackets.Text("x", 0, true, Text("/ip4/10.0.0.7/tcp/1"))]));
        _lan.Run(1.1);
        Assert.Equal(Peer, Assert.Single(_node.Expired).Peer);
    }

    [Fact]
    public void The_source_of_a_packet_is_tried_with_each_announced_port()
    {
        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 120,
            "/ip4/172.16.0.1/tcp/1", "/ip4/172.16.0.2/tcp/2", "/ip4/172.16.0.1/udp/3/quic-v1"));
        Assert.Equal(
            ["/ip4/172.16.0.1/tcp/1", "/ip4/172.16.0.2/tcp/2", "/ip4/172.16.0.1/udp/3/quic-v1",
                "/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.7/tcp/2"],
            Found());
    }

    [Fact]
    public void Link_local_addresses_get_the_arrival_interface_whatever_zone_they_name()
    {
        _lan.Inject("[fe80::7%1]:5353", MdnsPackets.Announcement(Peer, "x", 120,
            "/ip6/fe80::1/tcp/1", "/ip6zone/en0/ip6/fe80::2/tcp/1", "/ip6zone/5/ip6/fd00::3/tcp/1"));
        Assert.Equal(
            ["/ip6zone/1/ip6/fe80::1/tcp/1", "/ip6zone/1/ip6/fe80::2/tcp/1", "/ip6/fd00::3/tcp/1", "/ip6zone/1/ip6/fe80::7/tcp/1"],
            Found());
    }

    [Fact]
    public void Loopback_addresses_count_only_from_this_host()
    {
        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 120, "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/10.0.0.7/tcp/1"));
        Assert.Equal(["/ip4/10.0.0.7/tcp/1"], Found());
        _lan.Inject(_node.Source.ToString(), MdnsPackets.Announcement(Other, "y", 120, "/ip4/127.0.0.1/tcp/1"));
        Assert.Equal(["/ip4/10.0.0.7/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"], Found());
    }

    [Theory]
    [InlineData("dnsaddr=")]
    [InlineData("dnsaddr=/")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/1")]
    [InlineData("DNSADDR=/ip4/10.0.0.8/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/1/p2p/PEER/p2p-circuit")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/1/p2p/nonsense")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/0/p2p/PEER")]
    [InlineData("dnsaddr=/ip4/0.0.0.0/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip4/224.0.0.251/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip4/255.255.255.255/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip6/::/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip6/ff02::fb/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip6/::ffff:127.0.0.1/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/dns4/somewhere.example/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip6zone/eth0")]
    [InlineData("dnsaddr=/ip6zone/")]
    [InlineData("dnsaddr=/unknown/10.0.0.8/tcp/1/p2p/PEER")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/1/p2p/OTHER")]
    [InlineData("dnsaddr=/ip4/10.0.0.8/tcp/1\u00e9/p2p/PEER")]
    [InlineData("")]
    [InlineData("something else")]
    public void Strings_that_are_no_usable_address_are_skipped_and_the_others_taken(string text)
    {
        text = text.Replace("PEER", Peer.ToString(), StringComparison.Ordinal).Replace("OTHER", Other.ToString(), StringComparison.Ordinal);
        _lan.Inject(Near, MdnsPackets.Response([MdnsPackets.Pointer("x")],
            MdnsPackets.Text("x", 120, true, Text("/ip4/10.0.0.7/tcp/1"), text, Text("/ip4/10.0.0.7/tcp/2"))));
        Assert.Equal(["/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.7/tcp/2"], Found());
        Assert.All(_node.Found, e => Assert.Equal(Peer, e.Peer));
    }

    [Fact]
    public void Other_services_and_deeper_names_say_nothing()
    {
        DnsName deep = MdnsPackets.Service.Prepend("a").Prepend("b"), foreign = DnsName.Parse("x._other._udp.local");
        byte[] data = MdnsPackets.Text("x", 120, true, Text("/ip4/10.0.0.7/tcp/1")).Data.ToArray();
        _lan.Inject(Near, MdnsPackets.Response([],
            DnsRecord.Txt(deep, data, 120, true), DnsRecord.Txt(foreign, data, 120, true),
            DnsRecord.Txt(MdnsPackets.Service, data, 120, true)));
        Assert.Empty(_node.Events);
    }

    [Theory]
    [InlineData("192.0.2.1:5353")]
    [InlineData("10.1.0.1:5353")]
    [InlineData("127.0.0.1:5353")]
    [InlineData("[2001:db8::1]:5353")]
    public void Packets_from_beyond_the_link_are_ignored(string source)
    {
        _lan.Run(20);
        int before = _lan.Sent.Count;
        _lan.Inject(source, MdnsPackets.Announcement(Peer, "x", 120, "/ip4/10.0.0.7/tcp/1"));
        _lan.Inject(source, MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr));
        _lan.Run(1);
        Assert.Empty(_node.Events);
        Assert.Equal(before, _lan.Sent.Count);
        Assert.Equal(2, _node.Core.Dropped);
    }

    [Theory]
    [InlineData("10.0.255.254:5353")]
    [InlineData("169.254.3.4:5353")]
    [InlineData("[fe80::1234%1]:5353")]
    [InlineData("10.0.0.7:40000")]
    public void Packets_from_the_link_count_whatever_their_port(string source)
    {
        _lan.Inject(source, MdnsPackets.Announcement(Peer, "x", 120, "/ip4/10.0.0.7/tcp/1"));
        Assert.Equal(Peer, Assert.Single(_node.Events).Peer);
    }

    [Fact]
    public void A_link_that_is_not_used_is_not_listened_to()
    {
        _node.Core.Receive(_lan.Now, 99, IPEndPoint.Parse(Near), MdnsPackets.Announcement(Peer, "x", 120, "/ip4/10.0.0.7/tcp/1"));
        _lan.Settle(_node);
        Assert.Empty(_node.Events);
    }

    [Fact]
    public void Addresses_of_one_peer_are_capped_and_the_longest_unseen_gives_way()
    {
        for (int i = 0; i < 40; i++)
        {
            _lan.Run(1);
            _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x" + i, 120, "/ip4/10.0.0.7/tcp/1", $"/ip4/10.0.2.{i}/tcp/1"));
        }

        int known = _node.Found.Sum(e => e.Addresses.Count) - _node.Expired.Sum(e => e.Addresses.Count);
        Assert.Equal(16, known);
        Multiaddr renewed = Multiaddr.Parse("/ip4/10.0.0.7/tcp/1").WithPeerId(Peer);
        Assert.DoesNotContain(_node.Expired, e => e.Addresses.Contains(renewed));
    }

    [Fact]
    public void One_packet_cannot_bring_more_addresses_than_the_cap()
    {
        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 120, [.. Enumerable.Range(1, 60).Select(i => $"/ip4/10.0.2.{i}/tcp/{i}")]));
        Assert.Equal(16, Assert.Single(_node.Events).Addresses.Count);
    }

    [Fact]
    public void Peers_are_capped_and_the_longest_unseen_gives_way()
    {
        var lan = new MdnsSimulation();
        SimulatedNode node = lan.Add(configure: s => s with { MaxPeers = 10 });
        lan.Inject(Near, MdnsPackets.Announcement(Peer, "kept", 120, "/ip4/10.0.0.7/tcp/1"));
        for (int i = 0; i < 30; i++)
        {
            lan.Inject("10.0.0.8:5353", MdnsPackets.Announcement(Peers.Id(1000 + i), "fake" + i, 120, "/ip4/10.0.0.8/tcp/1"));
            lan.Inject(Near, MdnsPackets.Announcement(Peer, "kept", 120, "/ip4/10.0.0.7/tcp/1"));
        }

        Assert.Equal(10, node.Core.PeerCount);
        Assert.Equal(21, node.Expired.Count());
        Assert.DoesNotContain(node.Expired, e => e.Peer == Peer);
        Assert.Equal(Peers.Id(1000), node.Expired.First().Peer);
    }

    [Fact]
    public void One_source_that_storms_does_not_silence_the_others()
    {
        for (int i = 0; i < 2000; i++) // far more than its 300, and than the total allows
        {
            byte[] packet = MdnsPackets.Announcement(Peers.Id(1000 + i), "f" + i, 120, "/ip4/10.0.0.66/tcp/1");
            _node.Core.Receive(_lan.Now, MdnsSimulation.Link, IPEndPoint.Parse("10.0.0.66:5353"), packet);
        }

        _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 120, "/ip4/10.0.0.7/tcp/1"));
        Assert.Contains(_node.Found, e => e.Peer == Peer);
        Assert.Equal(301, _node.Core.PeerCount);
        _lan.Run(1);
        _lan.Inject("10.0.0.66:5353", MdnsPackets.Announcement(Other, "y", 120, "/ip4/10.0.0.66/tcp/1"));
        Assert.Contains(_node.Found, e => e.Peer == Other); // a storm that is over is forgotten
    }

    [Fact]
    public void A_storm_from_many_made_up_sources_meets_the_total_limit()
    {
        var limit = new PacketRateLimit(perSecond: 1000, perSecondPerSource: 100);
        int accepted = 0;
        for (int i = 0; i < 10_000; i++)
        {
            if (limit.TryAccept(TimeSpan.FromSeconds(1), new IPAddress(0x0a000000L + i))) accepted++;
        }

        // each of the first 1024 sources its own bucket, all others one between them
        Assert.InRange(accepted, 1024, 3000);
        Assert.False(Enumerable.Range(0, 100_000).All(i => limit.TryAccept(TimeSpan.FromSeconds(1), IPAddress.Parse("10.0.0.1"))));
    }

    [Fact]
    public void An_absurd_time_to_live_is_cut_to_75_minutes()
    {
        var lan = new MdnsSimulation();
        SimulatedNode node = lan.Add();
        lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", int.MaxValue, "/ip4/10.0.0.7/tcp/1"));
        lan.Run(TimeSpan.FromMinutes(74));
        Assert.Empty(node.Expired);
        lan.Run(TimeSpan.FromMinutes(2));
        Assert.Single(node.Expired);
    }

    [Fact]
    public void Short_lived_announcements_do_not_make_a_node_ask_all_the_time()
    {
        _lan.Run(10);
        int before = _lan.Sent.Count(s => !s.Message.IsResponse);
        for (int i = 0; i < 60; i++)
        {
            _lan.Inject(Near, MdnsPackets.Announcement(Peer, "x", 1, "/ip4/10.0.0.7/tcp/1"));
            _lan.Run(1);
        }

        Assert.InRange(_lan.Sent.Count(s => !s.Message.IsResponse) - before, 0, 3);
    }

    [Fact]
    public void Renewing_and_withdrawing_for_hours_does_not_make_the_table_grow()
    {
        var table = new MdnsPeerTable("mdns", 1024, 16, new Random(1));
        var events = new List<DiscoveryEvent>();
        var askOn = new HashSet<int>();
        DnsName instance = MdnsPackets.Service.Prepend("x");
        Multiaddr address = Multiaddr.Parse("/ip4/10.0.0.7/tcp/1").WithPeerId(Peer);
        MdnsSighting sighting = new(instance, Peer, [address], [], TimeSpan.FromSeconds(4500), false);
        for (int i = 0; i < 20_000; i++)
        {
            TimeSpan now = TimeSpan.FromMilliseconds(i);
            table.Saw(now, 1, sighting, events);
            table.Left(now, 1, instance);
            table.Saw(now, 1, sighting, events);
            table.Advance(now, events, askOn);
        }

        Assert.InRange(table.QueueLength, 1, 100);
        Assert.Single(events);
    }
}
