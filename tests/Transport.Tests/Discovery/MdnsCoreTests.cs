using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>What a core says and when, on a simulated network in virtual time.</summary>
public sealed class MdnsCoreTests
{
    private readonly MdnsSimulation _lan = new();

    private IEnumerable<TimeSpan> QueryTimes(SimulatedNode node) =>
        _lan.Sent.Where(s => s.Source.Equals(node.Source) && !s.Message.IsResponse && s.Message.Questions.Count > 0).Select(s => s.At);

    private List<TimeSpan> ReplyTimes(SimulatedNode node) =>
        [.. _lan.Sent.Where(s => s.Source.Equals(node.Source) && s.Message.IsResponse).Select(s => s.At)];

    [Fact]
    public void Queries_go_out_after_a_short_delay_then_1_2_and_4_seconds_later_then_every_30_to_60_seconds()
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(600);
        TimeSpan[] times = [.. QueryTimes(node)];
        Assert.InRange(times[0].TotalMilliseconds, 20, 120);
        Assert.Equal([1, 3, 7], times[1..4].Select(t => Math.Round((t - times[0]).TotalSeconds, 3)));
        TimeSpan[] gaps = [.. times[3..].Zip(times[4..], (a, b) => b - a)];
        Assert.InRange(gaps.Length, 9, 20);
        Assert.All(gaps, gap => Assert.InRange(gap.TotalSeconds, 30, 60));
        Assert.True(gaps.Distinct().Count() > 1);
    }

    [Fact]
    public void The_first_query_is_the_specified_one_with_nothing_listed_as_known()
    {
        _lan.Add();
        _lan.Run(5);
        SimulatedNode late = _lan.Add();
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(70), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        _lan.Run(0.2);
        Assert.Equal(
            "000000000001000000000000045f703270045f756470056c6f63616c00000c0001",
            Convert.ToHexStringLower(_lan.Sent.First(s => s.Source.Equals(late.Source) && !s.Message.IsResponse).Bytes));
    }

    [Fact]
    public void A_node_announces_itself_twice_a_second_apart()
    {
        SimulatedNode node = _lan.Add();
        _lan.Loss = 1; // so that it does not answer its own queries
        _lan.Run(20);
        List<TimeSpan> times = ReplyTimes(node);
        Assert.Equal(2, times.Count);
        Assert.InRange(times[0].TotalMilliseconds, 20, 120);
        Assert.Equal(1, Math.Round((times[1] - times[0]).TotalSeconds, 3));
    }

    [Fact]
    public void A_node_without_a_reachable_address_asks_but_does_not_announce_itself()
    {
        SimulatedNode silent = _lan.Add(listen: "/ip4/127.0.0.1/tcp/4001"), other = _lan.Add();
        _lan.Run(10);
        Assert.Empty(ReplyTimes(silent));
        Assert.NotEmpty(QueryTimes(silent));
        Assert.Single(silent.Found);
        Assert.Empty(other.Events);
    }

    [Fact]
    public void Peers_find_each_other_once_and_never_themselves()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(300);
        DiscoveryEvent found = Assert.Single(a.Events);
        Assert.Equal((DiscoveryEventKind.Found, b.Id, "mdns"), (found.Kind, found.Peer, found.Source));
        Assert.Equal(Multiaddr.Parse("/ip4/10.0.0.2/tcp/4001").WithPeerId(b.Id), Assert.Single(found.Addresses));
        Assert.Equal(a.Id, Assert.Single(b.Events).Peer);
    }

    [Fact]
    public void A_peer_that_goes_in_order_is_gone_after_a_second()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(10);
        _lan.Stop(b);
        _lan.Run(0.9);
        Assert.Empty(a.Expired);
        _lan.Run(0.2);
        Assert.Equal(b.Id, Assert.Single(a.Expired).Peer);
    }

    [Fact]
    public void A_peer_that_crashes_is_gone_when_its_time_to_live_is_over_and_asked_for_before()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(20);
        TimeSpan last = ReplyTimes(b)[^1];
        _lan.Crash(b);
        TimeSpan[] before = [.. QueryTimes(a)];
        _lan.Run(last + TimeSpan.FromSeconds(119) - _lan.Now);
        Assert.Empty(a.Expired);
        // 80, 85, 90 and 95 % of 120 s, at most 2 % later, and the random delay of a query
        Assert.All([96.0, 102, 108, 114], at => Assert.Contains(
            QueryTimes(a).Except(before), t => (t - last).TotalSeconds - at is >= 0 and < 2.6));
        _lan.Run(2);
        Assert.Equal(b.Id, Assert.Single(a.Expired).Peer);
        Assert.Equal(0, a.Core.PeerCount);
    }

    [Fact]
    public void A_peer_that_comes_back_is_found_again()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(10);
        _lan.Stop(b);
        _lan.Run(5);
        _lan.Nodes.Add(b);
        b.Core.SetLinks(_lan.Now, []);
        b.Core.SetLinks(_lan.Now, [b.Interface]);
        _lan.Settle(b);
        _lan.Run(5);
        Assert.Equal([DiscoveryEventKind.Found, DiscoveryEventKind.Expired, DiscoveryEventKind.Found], a.Events.Select(e => e.Kind));
    }

    [Fact]
    public void A_peer_that_restarts_at_once_is_never_gone()
    {
        SimulatedNode a = _lan.Add();
        string address = "/ip4/10.0.0.7/tcp/1";
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(70), "old", 120, address));
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(70), "new", 120, address));
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Response([MdnsPackets.Pointer("old", ttl: 0)]));
        _lan.Run(5);
        Assert.Equal(DiscoveryEventKind.Found, Assert.Single(a.Events).Kind);
    }

    [Fact]
    public void New_addresses_of_an_interface_are_announced_and_replace_the_old()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(20);
        int before = ReplyTimes(b).Count;
        var added = new LinkAddress(System.Net.IPAddress.Parse("10.0.9.9"), 16);
        b.Core.SetLinks(_lan.Now, [b.Interface with { Addresses = [added, b.Interface.Addresses[0]] }]);
        _lan.Settle(b);
        _lan.Run(3);
        Assert.True(ReplyTimes(b).Count - before >= 2);
        Assert.Equal(Multiaddr.Parse("/ip4/10.0.9.9/tcp/4001").WithPeerId(b.Id), Assert.Single(a.Found.Last().Addresses));

        b.Core.SetLinks(_lan.Now, [b.Interface with { Addresses = [added] }]);
        _lan.Settle(b);
        _lan.Run(5);
        // the simulation still sends from 10.0.0.2, and the source of a packet counts as an address
        Assert.Empty(a.Expired);
        Assert.Equal(2, a.Found.Count());
    }

    [Fact]
    public void What_was_seen_on_an_interface_that_went_expires_after_ten_seconds()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(20);
        a.Core.SetLinks(_lan.Now, []);
        _lan.Settle(a);
        _lan.Run(9.9);
        Assert.Empty(a.Expired);
        _lan.Run(0.2);
        Assert.Equal(b.Id, Assert.Single(a.Expired).Peer);
        Assert.Empty(b.Expired); // heard nothing of it: a's time to live goes on
    }

    [Fact]
    public void An_interface_that_is_back_within_ten_seconds_loses_nobody()
    {
        SimulatedNode a = _lan.Add();
        for (int i = 0; i < 30; i++) _lan.Add();
        _lan.Run(20);
        a.Core.SetLinks(_lan.Now, []);
        _lan.Settle(a);
        _lan.Run(5);
        a.Core.SetLinks(_lan.Now, [a.Interface]);
        _lan.Settle(a);
        _lan.Run(60);
        Assert.Equal(30, a.Found.Count());
        Assert.Empty(a.Expired);
    }

    [Fact]
    public void A_peer_seen_on_two_interfaces_stays_when_one_of_them_goes()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(20);
        // The second interface is on the same network: whatever arrives on the first arrives there too.
        MdnsLink second = a.Interface with { Index = 2, Name = "wlan0" };
        a.Core.SetLinks(_lan.Now, [a.Interface, second]);
        _lan.Settle(a);
        foreach ((_, System.Net.IPEndPoint source, _, byte[] bytes) in _lan.Sent.Where(s => s.Source.Equals(b.Source)).ToArray())
            a.Core.Receive(_lan.Now, second.Index, source, bytes);
        _lan.Settle(a);
        a.Core.SetLinks(_lan.Now, [a.Interface]); // the one that heard of it last goes
        _lan.Settle(a);
        _lan.Run(60);
        Assert.Single(a.Found);
        Assert.Empty(a.Expired);
    }

    [Fact]
    public void Addresses_a_peer_no_longer_announces_expire_a_second_later()
    {
        SimulatedNode a = _lan.Add();
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(70), "x", 120, "/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.8/tcp/1"));
        _lan.Run(5);
        _lan.Inject("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(70), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        Assert.Empty(a.Expired);
        _lan.Run(1.1);
        Assert.Equal([Multiaddr.Parse("/ip4/10.0.0.8/tcp/1").WithPeerId(Peers.Id(70))], Assert.Single(a.Expired).Addresses);
    }

    [Fact]
    public void An_answer_comes_20_to_120_ms_after_the_question_and_is_not_repeated_within_a_second()
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(20);
        int before = ReplyTimes(node).Count;
        TimeSpan asked = _lan.Now;
        byte[] query = MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr);
        for (int i = 0; i < 30; i++) // three seconds of ten questions each, from ephemeral ports and otherwise
        {
            _lan.Inject($"10.0.0.{100 + i}:{(i % 2 == 0 ? 5353 : 40000 + i)}", query);
            _lan.Run(0.1);
        }

        _lan.Run(2);
        TimeSpan[] times = [.. ReplyTimes(node).Skip(before)];
        Assert.InRange((times[0] - asked).TotalMilliseconds, 20, 121);
        Assert.InRange(times.Length, 3, 4);
        Assert.All(times.Zip(times[1..], (x, y) => y - x), gap => Assert.True(gap >= TimeSpan.FromSeconds(1)));
    }

    [Theory]
    [InlineData(120, false)]
    [InlineData(60, false)]
    [InlineData(59, true)]
    public void A_known_answer_with_half_its_time_left_is_not_repeated(uint ttl, bool answered)
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(20);
        int before = ReplyTimes(node).Count;
        _lan.Inject("10.0.0.9:5353", MdnsPackets.Query(
            MdnsPackets.Service, DnsType.Ptr, DnsRecord.Ptr(MdnsPackets.Service, node.Names.Instance, ttl)));
        _lan.Run(2);
        Assert.Equal(answered, ReplyTimes(node).Count > before);
    }

    [Theory]
    [InlineData("10.0.0.9:5353", false)]
    [InlineData("10.0.0.8:5353", true)]
    public void Known_answers_may_come_in_a_further_datagram_of_the_same_host(string from, bool answered)
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(20);
        int before = ReplyTimes(node).Count;
        TimeSpan asked = _lan.Now;
        _lan.Inject("10.0.0.9:5353", MdnsPackets.TruncatedQuery(MdnsPackets.Pointer("x")));
        _lan.Run(0.3);
        Assert.Equal(before, ReplyTimes(node).Count);
        _lan.Inject(from, MdnsPackets.MoreKnownAnswers(DnsRecord.Ptr(MdnsPackets.Service, node.Names.Instance, 100)));
        _lan.Run(2);
        Assert.Equal(answered, ReplyTimes(node).Count > before);
        if (answered) Assert.InRange((ReplyTimes(node)[before] - asked).TotalMilliseconds, 400, 502);
    }

    [Fact]
    public void A_node_lists_the_peers_it_knows_in_its_queries()
    {
        SimulatedNode a = _lan.Add(), b = _lan.Add();
        _lan.Run(5);
        (_, System.Net.IPEndPoint source, DnsMessage query, _) = _lan.Sent.Last(s => !s.Message.IsResponse);
        DnsRecord known = Assert.Single(query.Answers);
        Assert.Equal(source.Equals(a.Source) ? b.Names.Instance : a.Names.Instance, known.Target);
        Assert.InRange(known.Ttl, 100u, 120u);
    }

    [Theory]
    [InlineData("_services._dns-sd._udp.local", "Ptr", "Ptr")]
    [InlineData("_services._dns-sd._udp.local", "Any", "Ptr")]
    [InlineData("_P2P._udp.LOCAL", "Any", "Ptr")]
    [InlineData("instance", "Srv", "Srv Txt")]
    [InlineData("instance", "Txt", "Srv Txt")]
    [InlineData("instance", "Any", "Srv Txt")]
    [InlineData("host", "A", "A")]
    [InlineData("host", "Any", "A")]
    [InlineData("host", "Aaaa", "")]
    [InlineData("instance", "A", "")]
    [InlineData("_p2p._udp.local", "Txt", "")]
    [InlineData("_other._udp.local", "Ptr", "")]
    public void Direct_questions_are_answered(string name, string type, string answers)
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(20);
        int before = _lan.Sent.Count;
        DnsName asked = name switch { "instance" => node.Names.Instance, "host" => node.Names.Host, _ => DnsName.Parse(name) };
        _lan.Inject("10.0.0.9:5353", MdnsPackets.Query(asked, Enum.Parse<DnsType>(type)));
        _lan.Run(1);
        Assert.Equal(answers, string.Join(' ', _lan.Sent.Skip(before).SelectMany(s => s.Message.Answers).Select(a => a.Type)));
    }

    [Fact]
    public void Another_host_that_asks_the_same_saves_a_query_but_not_for_ever()
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(10);
        int before = QueryTimes(node).Count();
        AskFor(TimeSpan.FromMinutes(9));
        Assert.Equal(before, QueryTimes(node).Count());
        AskFor(TimeSpan.FromMinutes(12));
        Assert.Equal(before + 1, QueryTimes(node).Count());

        void AskFor(TimeSpan duration)
        {
            for (TimeSpan end = _lan.Now + duration; _lan.Now < end; _lan.Run(25))
                _lan.Inject("10.0.0.9:5353", MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr));
        }
    }

    [Fact]
    public void A_query_that_leaves_out_what_a_node_does_not_know_saves_it_none()
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(10);
        int before = QueryTimes(node).Count();
        for (int i = 0; i < 12; i++)
        {
            // the asker knows a peer that the node does not: that peer will stay silent
            byte[] query = i % 2 == 0 ? MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr, MdnsPackets.Pointer("unknown"))
                : MdnsPackets.TruncatedQuery();
            _lan.Inject("10.0.0.9:5353", query);
            _lan.Run(0.1);
            if (i % 2 != 0) _lan.Inject("10.0.0.9:5353", MdnsPackets.MoreKnownAnswers(MdnsPackets.Pointer("unknown")));
            _lan.Run(10);
        }

        Assert.True(QueryTimes(node).Count() - before >= 2);
    }

    [Fact]
    public void Queries_of_other_hosts_with_ephemeral_ports_or_asking_for_unicast_save_none()
    {
        SimulatedNode node = _lan.Add();
        _lan.Run(10);
        int before = QueryTimes(node).Count();
        byte[] unicast = MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr);
        unicast[^2] |= 0x80;
        for (int i = 0; i < 12; i++)
        {
            _lan.Inject("10.0.0.9:45353", MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr));
            _lan.Inject("10.0.0.9:5353", unicast);
            _lan.Run(10);
        }

        Assert.True(QueryTimes(node).Count() - before >= 2);
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(20, 2)]
    [InlineData(200, 3)]
    public void Everyone_finds_everyone_and_the_network_stays_quiet(int count, int seed)
    {
        var lan = new MdnsSimulation(seed);
        for (int i = 0; i < count; i++) lan.Add();
        lan.Run(8);
        Assert.All(lan.Nodes, node => Assert.Equal(count - 1, node.Found.Select(e => e.Peer).Distinct().Count()));
        // a query and two announcements each, an answer in between; few further queries, as all know the same
        int starting = lan.Sent.Count;
        Assert.InRange(starting, count * 3, (count * 5) + 30);

        double minutes = count > 100 ? 1 : 10;
        lan.Run(minutes * 60);
        Assert.All(lan.Nodes, node => Assert.Equal(count - 1, node.Events.Count)); // found once, nobody expired
        double perMinute = (lan.Sent.Count - starting) / minutes;
        Assert.True(perMinute <= 10 + (count * 2), $"{perMinute} datagrams a minute of {count} nodes");
    }

    [Fact]
    public void Everyone_finds_everyone_where_a_tenth_of_all_datagrams_is_lost()
    {
        _lan.Loss = 0.1;
        for (int i = 0; i < 20; i++) _lan.Add();
        _lan.Run(100);
        Assert.All(_lan.Nodes, node => Assert.Equal(19, node.Found.Select(e => e.Peer).Distinct().Count()));
        _lan.Run(300);
        Assert.Equal(0, _lan.Nodes.Sum(node => node.Expired.Count()));
    }

    [Fact]
    public void The_same_seed_gives_the_same_run()
    {
        Assert.Equal(Run(5), Run(5));
        Assert.NotEqual(Run(5), Run(6));

        static List<TimeSpan> Run(int seed)
        {
            var lan = new MdnsSimulation(seed);
            for (int i = 0; i < 3; i++) lan.Add();
            lan.Run(100);
            return [.. lan.Sent.Select(s => s.At)];
        }
    }
}
