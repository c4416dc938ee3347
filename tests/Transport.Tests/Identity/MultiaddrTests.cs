using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Identity;

public sealed class MultiaddrTests
{
    private const string Peer = IdentityVectors.Ed25519Id;
    private const string PeerComponent = "a50326" + IdentityVectors.Ed25519IdBytes;

    [Theory]
    [InlineData("/ip4/192.0.2.42/tcp/443", "04c000022a0601bb")]
    [InlineData("/ip4/127.0.0.1/udp/1234", "047f000001910204d2")]
    [InlineData("/ip4/127.0.0.1/tcp/4001", "047f000001060fa1")]
    [InlineData("/ip6/::1/tcp/4001", "2900000000000000000000000000000001060fa1")]
    [InlineData("/ip6/2001:db8::1/udp/4001/quic-v1", "2920010db800000000000000000000000191020fa1cd03")]
    [InlineData("/ip6zone/eth0/ip6/fe80::1/tcp/4001", "2a046574683029fe800000000000000000000000000001060fa1")]
    [InlineData("/dns4/example.com/tcp/443", "360b6578616d706c652e636f6d0601bb")]
    [InlineData("/dns6/example.com/tcp/443", "370b6578616d706c652e636f6d0601bb")]
    [InlineData("/dns/example.com/tcp/443", "350b6578616d706c652e636f6d0601bb")]
    [InlineData("/dnsaddr/libp2p.io", "38096c69627032702e696f")]
    [InlineData("/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "a5032212209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9")]
    [InlineData("/ip4/127.0.0.1/tcp/4001/p2p/" + Peer, "047f000001060fa1" + PeerComponent)]
    [InlineData("/ip4/127.0.0.1/tcp/4001/p2p/" + Peer + "/p2p-circuit", "047f000001060fa1" + PeerComponent + "a202")]
    [InlineData("/ip4/1.2.3.4/tcp/80/ws", "040102030406005" + "0dd03")]
    [InlineData("/ip4/1.2.3.4/udp/1/quic", "0401020304910200" + "01cc03")]
    [InlineData("/ip4/1.2.3.4/udp/1/webrtc-direct", "0401020304910200019802")]
    [InlineData("/ip4/1.2.3.4/tcp/443/tls/sni/a.b/wss", "04010203040601bb" + "c003" + "c10303612e62" + "de03")]
    [InlineData("/memory/one", "8906036f6e65")]
    public void Text_and_binary_forms_match(string text, string hex)
    {
        Multiaddr fromText = Multiaddr.Parse(text);
        Multiaddr fromBytes = Multiaddr.FromBytes(IdentityVectors.Bytes(hex));
        Assert.Equal(hex, Convert.ToHexStringLower(fromText.Bytes));
        Assert.Equal(text, fromBytes.ToString());
        Assert.Equal(fromText, fromBytes);
        Assert.True(fromText == fromBytes);
        Assert.Equal(fromText.GetHashCode(), fromBytes.GetHashCode());
    }

    [Theory]
    [InlineData("21" + "0001", "/dccp/1")]
    [InlineData("840100" + "01", "/sctp/1")]
    [InlineData("ad02", "/udt")]
    [InlineData("ae02", "/utp")]
    [InlineData("c603", "/noise")]
    [InlineData("d103", "/webtransport")]
    [InlineData("e003", "/http")]
    [InlineData("bb03", "/https")]
    [InlineData("9902", "/webrtc")]
    [InlineData("9302", "/p2p-webrtc-star")]
    [InlineData("9402", "/p2p-webrtc-direct")]
    [InlineData("9502", "/p2p-stardust")]
    [InlineData("df03", "/p2p-websocket-star")]
    [InlineData("9003" + "03" + "2f6161", "/unix/2f6161")]
    [InlineData("d203" + "02" + "1220", "/certhash/1220")]
    [InlineData("e103" + "01" + "61", "/http-path/61")]
    [InlineData("be03" + "01" + "61", "/garlic64/61")]
    [InlineData("bf03" + "01" + "61", "/garlic32/61")]
    [InlineData("2b18", "/ipcidr/18")]
    [InlineData("bc03" + "000102030405060708090a0b", "/onion/000102030405060708090a0b")]
    [InlineData("bd03" + "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011223344", "/onion3/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011223344")]
    public void Other_components_of_the_table_are_carried_beside_an_address(string hex, string text)
    {
        Multiaddr address = Multiaddr.FromBytes(IdentityVectors.Bytes("047f000001060fa1" + hex));
        Assert.Equal("/ip4/127.0.0.1/tcp/4001" + text, address.ToString());
        Assert.Equal("047f000001060fa1" + hex, Convert.ToHexStringLower(address.Bytes));
        Assert.False(address.TryGetTcpEndPoint(out _));
    }

    [Fact]
    public void The_old_name_ipfs_reads_as_p2p() => Assert.Equal("/p2p/" + Peer, Multiaddr.Parse("/ipfs/" + Peer).ToString());

    [Fact]
    public void A_peer_id_may_stand_as_cid() => Assert.Equal("/p2p/" + Peer, Multiaddr.Parse("/p2p/" + IdentityVectors.Ed25519Cid).ToString());

    [Fact]
    public void A_trailing_slash_is_forgiven() => Assert.Equal("/ip4/1.2.3.4/tcp/1", Multiaddr.Parse("/ip4/1.2.3.4/tcp/1/").ToString());

    [Theory]
    [InlineData("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1")]
    [InlineData("2001:DB8::A", "2001:db8::a")]
    [InlineData("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1")]
    [InlineData("2001:0:0:1:0:0:0:1", "2001:0:0:1::1")]
    [InlineData("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1")]
    [InlineData("::", "::")]
    [InlineData("::ffff:192.0.2.1", "::ffff:192.0.2.1")]
    public void Ip6_is_printed_in_its_one_canonical_form(string written, string printed) =>
        Assert.Equal($"/ip6/{printed}/tcp/1", Multiaddr.Parse($"/ip6/{written}/tcp/1").ToString()); // RFC 5952

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("//")]
    [InlineData("ip4/1.2.3.4/tcp/1")]
    [InlineData("/ip4")]
    [InlineData("/ip4/")]
    [InlineData("/ip4/1.2.3")]
    [InlineData("/ip4/1.2.3.256/tcp/1")]
    [InlineData("/ip4/0x7f.0.0.1/tcp/1")]
    [InlineData("/ip4/127.0.0.01/tcp/1")]
    [InlineData("/ip4/2130706433/tcp/1")]
    [InlineData("/ip4/::1/tcp/1")]
    [InlineData("/ip4/1.2.3.4 /tcp/1")]
    [InlineData("/ip6/1.2.3.4/tcp/1")]
    [InlineData("/ip6/fe80::1%eth0/tcp/1")]
    [InlineData("/ip6/[::1]/tcp/1")]
    [InlineData("/ip6/:::/tcp/1")]
    [InlineData("/ip4/1.2.3.4/tcp")]
    [InlineData("/ip4/1.2.3.4/tcp/65536")]
    [InlineData("/ip4/1.2.3.4/tcp/-1")]
    [InlineData("/ip4/1.2.3.4/tcp/+1")]
    [InlineData("/ip4/1.2.3.4/tcp/ 1")]
    [InlineData("/ip4/1.2.3.4/tcp/x")]
    [InlineData("/ip4/1.2.3.4//tcp/1")]
    [InlineData("/IP4/1.2.3.4/tcp/1")]
    [InlineData("/nonsense/1")]
    [InlineData("/p2p/")]
    [InlineData("/p2p/xyz")]
    [InlineData("/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p")]
    [InlineData("/dns//tcp/1")]
    [InlineData("/dns/a b/tcp/1")]
    [InlineData("/dns/a\u001b[31m/tcp/1")]
    [InlineData("/dns/a\u009b31m/tcp/1")] // an 8-bit escape sequence
    [InlineData("/dns/a\u202egnp.exe/tcp/1")] // right-to-left override
    [InlineData("/ip6zone/e\0/ip6/fe80::1/tcp/1")]
    [InlineData("/\u001b[31m/1")]
    public void Malformed_text_is_refused_with_a_message_that_is_safe_to_show(string text)
    {
        Assert.False(Multiaddr.TryParse(text, out _));
        TransportException error = Assert.Throws<TransportException>(() => Multiaddr.Parse(text));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
        Assert.Equal(PeerText.Escape(error.Message, 10_000), error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("04")]
    [InlineData("04c00002")]
    [InlineData("04c000022a06")]
    [InlineData("04c000022a0601")]
    [InlineData("04c000022a0601bb00")] // a component with code 0
    [InlineData("04c000022affff03")] // unknown code
    [InlineData("360b6578616d706c652e636f")] // shorter than its length says
    [InlineData("3600")] // an empty name
    [InlineData("36ffffffffffffffff7f")] // a length of 2^63 - 1
    [InlineData("36ffffffffffffffffff01")] // a length of more than nine bytes
    [InlineData("368b006578616d706c652e636f6d")] // a padded length
    [InlineData("840004c000022a")] // a padded code
    [InlineData("a50300")] // an empty peer id
    [InlineData("a5032112209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0")] // a short digest
    [InlineData("360161ff")]
    [InlineData("3602c328")] // not UTF-8
    [InlineData("3603612f62")] // a slash in a name
    [InlineData("3603611b62")] // escape in a name
    [InlineData("3604" + "61c29b62")] // an 8-bit control character
    [InlineData("3605" + "61e280ae62")] // right-to-left override
    [InlineData("36036ffff")]
    public void Malformed_bytes_are_refused(string hex)
    {
        byte[] bytes = IdentityVectors.Bytes(hex.Length % 2 == 0 ? hex : hex + "0");
        Assert.False(Multiaddr.TryFromBytes(bytes, out _));
        Assert.Equal(TransportError.InvalidAddress, Assert.Throws<TransportException>(() => Multiaddr.FromBytes(bytes)).Error);
    }

    [Fact]
    public void A_lone_surrogate_is_refused() // not an InlineData: attributes hold UTF-8, which has no lone surrogates
    {
        Assert.False(Multiaddr.TryParse("/dns/a\ud800/tcp/1", out _));
        Assert.False(Multiaddr.TryParse("/dns/\udc00\ud800a/tcp/1", out _));
    }

    [Fact]
    public void An_overlong_address_is_refused_in_both_forms()
    {
        string component = "/p2p-circuit";
        string text = string.Concat(Enumerable.Repeat(component, (Multiaddr.MaxLength / 2) + 1));
        Assert.False(Multiaddr.TryParse(text, out _));
        Assert.Contains("too long", Assert.Throws<TransportException>(() => Multiaddr.Parse(text)).Message, StringComparison.Ordinal);
        byte[] bytes = [.. Enumerable.Repeat(new byte[] { 0xa2, 0x02 }, (Multiaddr.MaxLength / 2) + 1).SelectMany(b => b)];
        Assert.False(Multiaddr.TryFromBytes(bytes, out _));
        Assert.True(Multiaddr.TryFromBytes(bytes.AsSpan(2), out _));
    }

    [Fact]
    public void The_peer_id_is_read_replaced_and_removed()
    {
        PeerId one = PeerId.Parse(Peer), two = PeerId.Parse(IdentityVectors.RsaId);
        Multiaddr bare = Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001");
        Assert.Null(bare.PeerId);
        Assert.False(bare.EndsInPeerId);
        Multiaddr full = bare.WithPeerId(one);
        Assert.Equal($"/ip4/127.0.0.1/tcp/4001/p2p/{Peer}", full.ToString());
        Assert.Equal(one, full.PeerId);
        Assert.True(full.EndsInPeerId);
        Assert.Equal(two, full.WithPeerId(two).PeerId);
        Assert.Equal(bare, full.WithPeerId(two).WithoutPeerId());
        Assert.Equal(bare, bare.WithoutPeerId());
        Assert.Null(Multiaddr.Parse("/p2p/" + Peer).WithoutPeerId());
        Multiaddr relayed = Multiaddr.Parse($"/ip4/1.2.3.4/tcp/1/p2p/{Peer}/p2p-circuit/p2p/{IdentityVectors.RsaId}");
        Assert.Equal(two, relayed.PeerId);
        Assert.Equal($"/ip4/1.2.3.4/tcp/1/p2p/{Peer}/p2p-circuit", relayed.WithoutPeerId()?.ToString());
    }

    [Theory]
    [InlineData("/ip4/127.0.0.1/tcp/4001", "127.0.0.1:4001")]
    [InlineData("/ip4/127.0.0.1/tcp/4001/p2p/" + Peer, "127.0.0.1:4001")]
    [InlineData("/ip6/::1/tcp/65535", "[::1]:65535")]
    [InlineData("/ip6zone/3/ip6/fe80::1/tcp/7", "[fe80::1%3]:7")]
    public void A_tcp_address_gives_its_endpoint(string text, string endpoint)
    {
        Assert.True(Multiaddr.Parse(text).TryGetTcpEndPoint(out IPEndPoint? found));
        Assert.Equal(endpoint, found.ToString());
    }

    [Theory]
    [InlineData("/ip4/127.0.0.1/udp/4001")]
    [InlineData("/ip4/127.0.0.1")]
    [InlineData("/tcp/1")]
    [InlineData("/ip4/127.0.0.1/tcp/4001/ws")]
    [InlineData("/ip4/127.0.0.1/tcp/4001/p2p/" + Peer + "/p2p-circuit")]
    [InlineData("/dns/example.com/tcp/1")]
    [InlineData("/ip6zone/no-such-interface/ip6/fe80::1/tcp/7")]
    [InlineData("/ip6zone/3/ip4/1.2.3.4/tcp/7")]
    [InlineData("/ip6zone/3")]
    public void Other_addresses_give_no_tcp_endpoint(string text) => Assert.False(Multiaddr.Parse(text).TryGetTcpEndPoint(out _));

    [Theory]
    [InlineData("127.0.0.1", 0, "/ip4/127.0.0.1/tcp/0")]
    [InlineData("::1", 9, "/ip6/::1/tcp/9")]
    [InlineData("fe80::1%7", 9, "/ip6zone/7/ip6/fe80::1/tcp/9")]
    [InlineData("::ffff:192.0.2.1", 9, "/ip4/192.0.2.1/tcp/9")]
    public void An_endpoint_gives_its_address(string ip, int port, string text)
    {
        Multiaddr address = Multiaddr.FromTcp(new IPEndPoint(IPAddress.Parse(ip), port));
        Assert.Equal(text, address.ToString());
        Assert.True(address.TryGetTcpEndPoint(out IPEndPoint? back));
        Assert.Equal(text, Multiaddr.FromTcp(back).ToString());
    }

    [Theory]
    [InlineData("/dns/example.com/tcp/443", AddressFamily.Unspecified)]
    [InlineData("/dns4/example.com/tcp/443/p2p/" + Peer, AddressFamily.InterNetwork)]
    [InlineData("/dns6/example.com/tcp/443", AddressFamily.InterNetworkV6)]
    public void A_dns_address_gives_name_port_and_family(string text, AddressFamily family)
    {
        Assert.True(Multiaddr.Parse(text).TryGetDnsTcp(out string? name, out int port, out AddressFamily found));
        Assert.Equal(("example.com", 443, family), (name, port, found));
        Assert.False(Multiaddr.Parse(text).TryGetMemoryName(out _));
    }

    [Fact]
    public void Other_addresses_give_no_dns_name()
    {
        Assert.False(Multiaddr.Parse("/dnsaddr/example.com").TryGetDnsTcp(out _, out _, out _));
        Assert.False(Multiaddr.Parse("/dns/example.com/udp/1").TryGetDnsTcp(out _, out _, out _));
        Assert.False(Multiaddr.Parse("/ip4/1.2.3.4/tcp/1").TryGetDnsTcp(out _, out _, out _));
        Assert.True(Multiaddr.Parse("/memory/x").TryGetMemoryName(out string? memory));
        Assert.Equal("x", memory);
    }

    [Fact]
    public void Random_and_altered_text_never_throws_and_reads_back_equal()
    {
        var random = new Random(21);
        string[] seeds =
        [
            "/ip4/127.0.0.1/tcp/4001/p2p/" + Peer, "/ip6/2001:db8::1/udp/4001/quic-v1", "/ip6zone/eth0/ip6/fe80::1/tcp/4001", "/dns4/example.com/tcp/443",
            "/dnsaddr/libp2p.io", "/memory/one", "/ip6/::ffff:1.2.3.4/tcp/1",
        ];
        const string Alphabet = "/0123456789abcdef.:%[]xtcpiudn \u001b\u0430\ud83d";
        int accepted = 0;
        for (int i = 0; i < 50_000; i++)
        {
            List<char> text = [.. seeds[random.Next(seeds.Length)]];
            for (int changes = random.Next(4); changes > 0; changes--)
            {
                int at = random.Next(text.Count);
                switch (random.Next(3))
                {
                    case 0: text[at] = Alphabet[random.Next(Alphabet.Length)]; break;
                    case 1: text.Insert(at, Alphabet[random.Next(Alphabet.Length)]); break;
                    default: text.RemoveAt(at); break;
                }
            }

            if (!Multiaddr.TryParse(new string([.. text]), out Multiaddr? address)) continue;
            accepted++;
            Assert.Equal(address, Multiaddr.Parse(address.ToString()));
            Assert.Equal(address, Multiaddr.FromBytes(address.Bytes));
            Assert.Equal(PeerText.Escape(address.ToString(), 10_000), address.ToString());
            if (i % 16 == 0) address.TryGetTcpEndPoint(out _);
        }

        Assert.InRange(accepted, 1_000, 49_000);
    }

    [Fact]
    public void Random_and_altered_bytes_never_throw_and_are_kept_as_they_are()
    {
        var random = new Random(22);
        byte[][] seeds =
        [
            IdentityVectors.Bytes("047f000001060fa1" + PeerComponent), IdentityVectors.Bytes("2a046574683029fe800000000000000000000000000001060fa1"),
            IdentityVectors.Bytes("360b6578616d706c652e636f6d0601bb"), IdentityVectors.Bytes("d20302122004c000022a0601bb"), new byte[32],
        ];
        for (int i = 0; i < 50_000; i++)
        {
            byte[] bytes = Fuzz.Alter(random, seeds[random.Next(seeds.Length)]);
            if (!Multiaddr.TryFromBytes(bytes, out Multiaddr? address)) continue;
            Assert.True(address.Bytes.SequenceEqual(bytes));
            Assert.Equal(PeerText.Escape(address.ToString(), 10_000), address.ToString());
            _ = address.PeerId;
            _ = address.WithoutPeerId();
        }
    }
}
