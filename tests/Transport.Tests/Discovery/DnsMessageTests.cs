using System.Buffers.Binary;
using System.Text;
using FastShare.Transport.Discovery.Internal;

namespace FastShare.Transport.Tests.Discovery;

public sealed class DnsMessageTests
{
    private const string Header = "0000 8400 0000 0001 0000 0000";
    private const string ServiceHex = "045f703270045f756470056c6f63616c00";

    [Fact]
    public void The_query_has_the_specified_bytes()
    {
        byte[] query = MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr);
        Assert.Equal("000000000001000000000000045f703270045f756470056c6f63616c00000c0001", Convert.ToHexStringLower(query));
    }

    [Theory]
    [InlineData("_p2p._udp.local", ServiceHex)]
    [InlineData("_services._dns-sd._udp.local", "095f7365727669636573075f646e732d7364045f756470056c6f63616c00")]
    public void Names_have_the_specified_bytes(string name, string hex)
    {
        Assert.Equal(hex, Convert.ToHexStringLower(DnsName.Parse(name).Wire));
        Assert.Equal(name, DnsName.Parse(name + ".").ToString());
    }

    [Fact]
    public void Names_are_equal_whatever_their_case()
    {
        Assert.Equal(DnsName.Parse("_p2p._udp.local"), DnsName.Parse("_P2P._UDP.Local"));
        Assert.Equal(DnsName.Parse("_p2p._udp.local").GetHashCode(), DnsName.Parse("_P2P._UDP.Local").GetHashCode());
        Assert.NotEqual(DnsName.Parse("a.b"), DnsName.Parse("ab"));
        Assert.True(DnsName.Parse("X._P2P._udp.local").IsChildOf(MdnsPackets.Service));
        Assert.False(DnsName.Parse("x.y._p2p._udp.local").IsChildOf(MdnsPackets.Service));
        Assert.False(MdnsPackets.Service.IsChildOf(MdnsPackets.Service));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a..b")]
    [InlineData(".a")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123.local")]
    public void Impossible_names_are_refused(string name) => Assert.Throws<FormatException>(() => DnsName.Parse(name));

    [Fact]
    public void Names_end_at_255_bytes()
    {
        string label = new('a', 63);
        DnsName longest = DnsName.Parse($"{label}.{label}.{label}.{new string('b', 61)}");
        Assert.Equal(DnsName.MaxLength, longest.Wire.Length);
        Assert.Throws<FormatException>(() => longest.Prepend("c"));
        Assert.Throws<FormatException>(() => DnsName.Parse($"{label}.{label}.{label}.{new string('b', 62)}"));
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        DnsName instance = MdnsPackets.Service.Prepend("Some-Instance"), host = DnsName.Parse("host.local");
        byte[] bytes = MdnsPackets.Response(
            [DnsRecord.Ptr(MdnsPackets.Service, instance, 120)],
            DnsRecord.Txt(instance, new byte[] { 1, 97, 0, 2, 98, 99 }, 121, cacheFlush: true),
            DnsRecord.Srv(instance, host, 4001, 122, cacheFlush: true),
            DnsRecord.Address(host, new byte[] { 10, 0, 0, 1 }, 123, cacheFlush: true),
            DnsRecord.Address(host, new byte[16], 124, cacheFlush: false));

        Assert.Equal("000084000000000100000004", Convert.ToHexStringLower(bytes.AsSpan(0, 12)));
        DnsMessage message = Read(bytes);
        Assert.True(message.IsResponse);
        Assert.Empty(message.Questions);
        DnsRecord pointer = Assert.Single(message.Answers);
        Assert.Equal((DnsType.Ptr, 120u, false), (pointer.Type, pointer.Ttl, pointer.CacheFlush));
        Assert.Equal("Some-Instance._p2p._udp.local", pointer.Target!.ToString());
        Assert.Equal([DnsType.Txt, DnsType.Srv, DnsType.A, DnsType.Aaaa], message.Additionals.Select(a => a.Type));
        Assert.Equal([121u, 122u, 123u, 124u], message.Additionals.Select(a => a.Ttl));
        Assert.Equal([true, true, true, false], message.Additionals.Select(a => a.CacheFlush));
        Assert.Equal("016100026263", Convert.ToHexStringLower(message.Additionals[0].Data.Span));
        Assert.Equal(((ushort)4001, host), (message.Additionals[1].Port, message.Additionals[1].Target));
        Assert.Equal("10.0.0.1", message.Additionals[2].ToIPAddress().ToString());
    }

    [Fact]
    public void Names_are_compressed_except_srv_targets()
    {
        DnsName instance = MdnsPackets.Service.Prepend("i");
        byte[] bytes = MdnsPackets.Response(
            [DnsRecord.Ptr(MdnsPackets.Service, instance, 1)], DnsRecord.Srv(instance, DnsName.Parse("h.local"), 1, 1, true));
        // owner 17, fixed 10, "i" + pointer 4; owner pointer 2, fixed 10, SRV 6 + 9
        Assert.Equal(12 + 17 + 10 + 4 + 2 + 10 + 6 + 9, bytes.Length);
        Assert.EndsWith("0168056c6f63616c00", Convert.ToHexStringLower(bytes), StringComparison.Ordinal);
    }

    [Fact]
    public void A_record_that_does_not_fit_leaves_the_message_as_it_was()
    {
        var writer = new DnsMessageWriter(isResponse: true, 12 + 17 + 10 + 4);
        Assert.False(writer.TryAddAnswer(DnsRecord.Ptr(MdnsPackets.Service, MdnsPackets.Service.Prepend("too-long"), 1)));
        Assert.True(writer.TryAddAnswer(DnsRecord.Ptr(MdnsPackets.Service, MdnsPackets.Service.Prepend("i"), 1)));
        Assert.Equal("i._p2p._udp.local", Assert.Single(Read(writer.ToArray()).Answers).Target!.ToString());
    }

    [Fact]
    public void Records_of_other_types_and_classes_are_skipped()
    {
        byte[] message = Bytes("0000 8400 0000 0003 0001 0001"
            + "00 002f 8001 00000078 0003 010203" // NSEC
            + "00 0001 0003 00000078 0004 01020304" // class CHAOS
            + "00 0001 0001 00000078 0004 0a000001"
            + "00 0001 0001 00000078 0004 0a000002" // authority
            + "00 0029 05a0 00000000 0000"); // OPT
        DnsMessage read = Read(message);
        Assert.Equal("10.0.0.1", Assert.Single(read.Answers).ToIPAddress().ToString());
        Assert.Empty(read.Additionals);
    }

    [Fact]
    public void Question_flags_are_told_apart_from_the_class()
    {
        DnsMessage read = Read(Bytes($"1234 0200 0003 0000 0000 0000 {ServiceHex} 000c 8001 c00c 00ff 00ff c00c 000c 0003"));
        Assert.True(read.IsTruncated);
        Assert.False(read.IsResponse);
        Assert.Equal(
            [new DnsQuestion(MdnsPackets.Service, DnsType.Ptr, true), new DnsQuestion(MdnsPackets.Service, DnsType.Any, false)],
            read.Questions);
    }

    [Theory]
    [InlineData("", "nothing")]
    [InlineData("0000 8400 0000 0000 0000 00", "header cut short")]
    [InlineData("0000 8c00 0000 0000 0000 0000", "opcode")]
    [InlineData("0000 8403 0000 0000 0000 0000", "response code")]
    [InlineData("0000 8400 0000 ffff 0000 0000", "more records than bytes")]
    [InlineData("0000 0000 0001 0000 0000 0000 c00c 000c 0001", "pointer to itself")]
    [InlineData("0000 0000 0001 0000 0000 0000 0161 c00c 000c 0001", "label that runs into a pointer back to it")]
    [InlineData("0000 0000 0001 0000 0000 0000 c00e c00c 000c 0001", "forward pointer, then back")]
    [InlineData("0000 0000 0001 0000 0000 0000 c002 000c 0001", "pointer into the header")]
    [InlineData("0000 0000 0001 0000 0000 0000 c0ff 000c 0001", "pointer beyond the end")]
    [InlineData("0000 0000 0001 0000 0000 0000 c0", "half a pointer")]
    [InlineData("0000 0000 0001 0000 0000 0000 4161 00 000c 0001", "label type 01")]
    [InlineData("0000 0000 0001 0000 0000 0000 8061 00 000c 0001", "label type 10")]
    [InlineData("0000 0000 0001 0000 0000 0000 0561 00 000c 0001", "label beyond the end")]
    [InlineData("0000 0000 0001 0000 0000 0000 0161 00 000c", "question cut short")]
    [InlineData(Header + "00 0001 0001 00000078 0005 0a00000100", "A of five bytes")]
    [InlineData(Header + "00 001c 0001 00000078 0004 0a000001", "AAAA of four bytes")]
    [InlineData(Header + "00 0001 0001 00000078 0004 0a0000", "data cut short")]
    [InlineData(Header + "00 0010 0001 00000078 0003 056161", "TXT string beyond its record")]
    [InlineData(Header + "00 000c 0001 00000078 0003 016100 00", "nothing", true)]
    [InlineData(Header + "00 000c 0001 00000078 0002 016100", "PTR name beyond its record")]
    [InlineData(Header + "00 000c 0001 00000078 0004 01610000", "bytes behind the PTR name")]
    [InlineData(Header + "00 0021 0001 00000078 0006 000000000fa1", "SRV without a name")]
    [InlineData(Header + "00 0021 0001 00000078 0009 000000000fa1 016100", "nothing", true)]
    [InlineData(Header + "00 000c 0001 00000078 0002 c017", "PTR that points to itself")]
    [InlineData(Header + "00 000c 0001 00000078 0002 c015", "PTR that points into its own record's fixed part", true)]
    public void Malformed_messages_are_refused(string hex, string what, bool isFine = false)
    {
        Assert.True(DnsMessageReader.TryRead(Bytes(hex), out _) == isFine, what);
    }

    [Fact]
    public void A_name_longer_than_255_bytes_by_way_of_pointers_is_refused()
    {
        // a label of 63 bytes, then labels of 63 bytes that point to the one before: 64, 128, 192, 256 bytes and a final zero
        var bytes = new List<byte>(Bytes("0000 0000 0004 0000 0000 0000"));
        int previous = -1;
        for (int i = 0; i < 4; i++)
        {
            int start = bytes.Count;
            bytes.Add(63);
            bytes.AddRange(new byte[63]);
            bytes.AddRange(previous < 0 ? [0] : [(byte)(0xc0 | (previous >> 8)), (byte)previous]);
            bytes.AddRange(Bytes("000c 0001"));
            previous = start;
        }

        Assert.False(DnsMessageReader.TryRead(bytes.ToArray(), out _));
        bytes[5] = 3;
        Assert.True(DnsMessageReader.TryRead(bytes.ToArray(), out DnsMessage? three));
        Assert.Equal(193, three.Questions[2].Name.Wire.Length);
    }

    [Fact]
    public void A_chain_of_pointers_is_followed_only_so_far()
    {
        Assert.True(DnsMessageReader.TryRead(PointerChain(DnsMessageReader.MaxJumps), out _));
        Assert.False(DnsMessageReader.TryRead(PointerChain(DnsMessageReader.MaxJumps + 1), out _));

        // question 1 is the root; each further one is a pointer to the name of the one before it
        static byte[] PointerChain(int jumps)
        {
            var bytes = new List<byte>(Bytes("0000 0000 0000 0000 0000 0000 00 000c 0001"));
            int previous = 12;
            for (int i = 0; i < jumps; i++)
            {
                int start = bytes.Count;
                bytes.AddRange([(byte)(0xc0 | (previous >> 8)), (byte)previous, 0, 12, 0, 1]);
                previous = start;
            }

            bytes[5] = (byte)(jumps + 1);
            return [.. bytes];
        }
    }

    [Fact]
    public void Memory_for_one_message_is_bounded()
    {
        // Each record costs 14 bytes on the wire and names a name of 254 bytes by a pointer.
        var bytes = new List<byte>(Bytes("0000 8400 0000 0000 0000 0000"));
        for (int i = 0; i < 4; i++)
        {
            bytes.Add((byte)(i == 3 ? 60 : 63));
            bytes.AddRange(new byte[i == 3 ? 60 : 63]);
        }

        bytes.AddRange(Bytes("00 0001 0001 00000078 0004 0a000001"));
        int records = 1;
        for (; bytes.Count + 16 <= DnsMessageReader.MaxMessageLength; records++)
            bytes.AddRange(Bytes("c00c 0001 0001 00000078 0004 0a000001"));
        byte[] message = [.. bytes];
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), (ushort)records);

        DnsMessageReader.TryRead(message, out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(DnsMessageReader.TryRead(message, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, (2 * message.Length) + (64 * 1024));
    }

    [Fact]
    public void No_input_makes_the_reader_throw_and_what_it_reads_can_be_learned_from()
    {
        var random = new Random(7);
        byte[][] seeds =
        [
            MdnsPackets.Query(MdnsPackets.Service, DnsType.Ptr, MdnsPackets.Pointer("x"), MdnsPackets.Pointer("y")),
            MdnsPackets.Announcement(Peers.Id(3), "abc", 120, "/ip4/10.0.0.3/tcp/1", "/ip6/fe80::1/tcp/2",
                "/ip6zone/eth9/ip6/fe80::2/tcp/2"),
            MdnsRecords.Create(MdnsServiceNames.Create("_p2p._udp.local"), Peers.Id(4),
                [new(System.Net.IPAddress.Parse("10.0.0.4"), 4001)], 120)!
                .Packet(MdnsReply.Service),
        ];
        var simulation = new MdnsSimulation();
        simulation.Add(configure: s => s with { MaxPacketsPerSecond = 1_000_000, MaxPacketsPerSecondPerSource = 1_000_000 });
        MdnsCore core = simulation.Nodes[0].Core;
        var source = System.Net.IPEndPoint.Parse("10.0.0.9:5353");
        for (int i = 0; i < 50_000; i++)
        {
            byte[] input = [.. seeds[random.Next(seeds.Length)]];
            for (int changes = random.Next(1, 6); changes > 0; changes--)
            {
                switch (random.Next(4))
                {
                    case 0: input[random.Next(input.Length)] = (byte)random.Next(256); break;
                    case 1: input[random.Next(input.Length)] ^= (byte)(1 << random.Next(8)); break;
                    case 2: input = input[..random.Next(1, input.Length + 1)]; break;
                    default: random.NextBytes(input.AsSpan(random.Next(input.Length))); break;
                }
            }

            if (i % 10 == 0) input = RandomBytes(random, random.Next(0, 200));
            core.Receive(TimeSpan.FromMilliseconds(i), MdnsSimulation.Link, source, input);
            core.Advance(TimeSpan.FromMilliseconds(i));
            core.Packets.Clear();
            core.Events.Clear();
        }

        Assert.InRange(core.PeerCount, 1, 1024);
    }

    private static byte[] RandomBytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static DnsMessage Read(byte[] bytes)
    {
        Assert.True(DnsMessageReader.TryRead(bytes, out DnsMessage? message));
        return message;
    }

    private static byte[] Bytes(string hex) => Convert.FromHexString(new StringBuilder(hex).Replace(" ", "").ToString());
}
