using System.Net;
using System.Text;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>What rust, go and js libp2p each need in an answer to read it.</summary>
public sealed class MdnsLayoutTests
{
    private static readonly MdnsServiceNames Names = MdnsServiceNames.Create("_p2p._udp.local");

    [Fact]
    public void The_answer_has_no_question_one_pointer_and_the_rest_as_additionals()
    {
        byte[] packet = Records("10.0.0.1", "fd00::1", "fe80::1").Packet(MdnsReply.Service);
        Assert.True(DnsMessageReader.TryRead(packet, out DnsMessage? message));

        Assert.Equal("00008400", Convert.ToHexStringLower(packet.AsSpan(0, 4))); // id 0, response, authoritative
        Assert.Empty(message.Questions);
        DnsRecord pointer = Assert.Single(message.Answers);
        Assert.Equal("_p2p._udp.local", pointer.Name.ToString());
        Assert.Equal(Names.Instance, pointer.Target);
        Assert.False(pointer.CacheFlush); // a shared record
        DnsRecord text = Assert.Single(message.Additionals, a => a.Type == DnsType.Txt);
        DnsRecord service = Assert.Single(message.Additionals, a => a.Type == DnsType.Srv);
        Assert.Equal((Names.Instance, Names.Instance), (text.Name, service.Name));
        Assert.Equal((Names.Host, (ushort)4001), (service.Target, service.Port));
        DnsRecord[] hosts = [.. message.Additionals.Where(a => a.Type is DnsType.A or DnsType.Aaaa)];
        Assert.Equal(["10.0.0.1", "fd00::1", "fe80::1"], hosts.Select(h => h.ToIPAddress().ToString()));
        Assert.All(hosts, h => Assert.Equal(Names.Host, h.Name));
        Assert.All(message.Additionals, a => Assert.True(a.CacheFlush));
        Assert.All(message.Answers.Concat(message.Additionals), a => Assert.Equal(120u, a.Ttl));
        Assert.Equal(
            new[] { "/ip4/10.0.0.1", "/ip6/fd00::1", "/ip6/fe80::1" }.Select(ip => $"dnsaddr={ip}/tcp/4001/p2p/{Peers.Id(1)}"),
            Strings(text));
    }

    [Fact]
    public void The_peer_name_is_a_long_random_lower_case_label_that_is_new_each_time()
    {
        string label = Names.Instance.ToString().Split('.')[0];
        Assert.Matches("^[a-z0-9]{32,63}$", label);
        Assert.Equal($"{label}._p2p._udp.local", Names.Instance.ToString());
        Assert.Equal($"{label}.local", Names.Host.ToString());
        Assert.NotEqual(Names.Instance, MdnsServiceNames.Create("_p2p._udp.local").Instance);
    }

    [Fact]
    public void An_answer_fits_one_frame_however_many_addresses_there_are()
    {
        string[] many = [.. Enumerable.Range(1, 40).Select(i => $"2001:db8:1234:5678:9abc:def0:1234:{5000 + i}")];
        MdnsRecords records = Records(many);
        Assert.InRange(records.Packet(MdnsReply.Service).Length, 1000, MdnsRecords.MaxDatagram);
        Assert.InRange(records.Endpoints.Count, 8, AdvertisedAddresses.MaxCount);
        Assert.Equal(IPAddress.Parse(many[0]), records.Endpoints[0].Address);

        MdnsRecords typical = Records([.. Enumerable.Range(1, 40).Select(i => $"192.168.100.{100 + i}")]);
        Assert.InRange(typical.Endpoints.Count, 10, AdvertisedAddresses.MaxCount);
    }

    [Fact]
    public void The_goodbye_is_the_pointer_alone()
    {
        Assert.True(DnsMessageReader.TryRead(Records("10.0.0.1").Goodbye, out DnsMessage? message));
        Assert.Equal((Names.Instance, 0u), (Assert.Single(message.Answers).Target, message.Answers[0].Ttl));
        Assert.Empty(message.Additionals);
    }

    [Fact]
    public void Nothing_is_announced_without_an_address() => Assert.Null(MdnsRecords.Create(Names, Peers.Id(1), [], 120));

    [Fact]
    public void Wildcards_stand_for_the_addresses_of_the_interface_best_first()
    {
        var link = new MdnsLink(3, "eth0", false,
            [Address("fe80::5"), Address("fd00::5"), Address("169.254.1.5"), Address("192.168.1.5"), Address("10.0.0.5")]);
        Assert.Equal(
            ["192.168.1.5:1", "10.0.0.5:1", "[fd00::5]:2", "169.254.1.5:1", "[fe80::5]:2"],
            On(link, "/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/2"));
        Assert.Equal(
            ["192.168.1.5:1"],
            On(link, "/ip4/192.168.1.5/tcp/1", "/ip4/192.168.1.5/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.6/tcp/1"));
        Assert.Equal(["[fe80::5]:4"], On(link, "/ip6zone/3/ip6/fe80::5/tcp/4", "/ip6zone/4/ip6/fe80::5/tcp/5"));
        Assert.Empty(On(link, "/ip4/0.0.0.0/tcp/0", "/memory/x", "/ip4/0.0.0.0/udp/1/quic-v1"));

        var loopback = new MdnsLink(1, "lo", true, [Address("127.0.0.1"), Address("::1")]);
        Assert.Equal(["127.0.0.1:1", "[::1]:2"], On(loopback, "/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/2", "/ip4/192.168.1.5/tcp/1"));
    }

    private static IEnumerable<string> On(MdnsLink link, params string[] listen) =>
        AdvertisedAddresses.On(link, [.. listen.Select(Multiaddr.Parse)]).Select(e => e.ToString());

    private static LinkAddress Address(string text) => new(IPAddress.Parse(text), text.Contains(':', StringComparison.Ordinal) ? 64 : 24);

    private static MdnsRecords Records(params string[] addresses) =>
        MdnsRecords.Create(Names, Peers.Id(1), [.. addresses.Select(a => new IPEndPoint(IPAddress.Parse(a), 4001))], 120)!;

    internal static List<string> Strings(DnsRecord text)
    {
        var strings = new List<string>();
        for (ReadOnlySpan<byte> rest = text.Data.Span; !rest.IsEmpty; rest = rest[(rest[0] + 1)..])
            strings.Add(Encoding.ASCII.GetString(rest.Slice(1, rest[0])));
        return strings;
    }
}
