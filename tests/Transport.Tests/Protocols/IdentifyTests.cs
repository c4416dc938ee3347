using System.Buffers;
using CsCheck;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Tests.Connections;
using FastShare.Transport.Tests.Multiplexing;

namespace FastShare.Transport.Tests.Protocols;

public sealed class IdentifyTests
{
    // Key of the peer-ids specification; the message is computed from the identify specification.
    private const string Key = "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";

    private const string Vector = "640a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1208047f000001060fa1"
        + "1a102f697066732f70696e672f312e302e302208047f00000106d4312a0a697066732f302e312e30320a6373686172702f302e31";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static PublicKey PublicKeyOf(string hex) => PublicKey.Decode(Convert.FromHexString(hex));

    private static IdentifyMessage Read(params byte[][] framed)
    {
        var message = new IdentifyMessage();
        var buffer = new ReadOnlySequence<byte>([.. framed.SelectMany(f => f)]);
        while (!buffer.IsEmpty) Assert.True(message.TryMerge(ref buffer));
        return message;
    }

    private static byte[] Frame(byte[] message) => [.. Length(message.Length), .. message];

    private static byte[] Length(int value)
    {
        byte[] bytes = new byte[Varint.Length((ulong)value)];
        Varint.Write(bytes, (ulong)value);
        return bytes;
    }

    [Fact]
    public void A_message_has_exactly_these_bytes()
    {
        byte[] encoded = IdentifyMessage.Encode(
            PublicKeyOf(Key), [Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001")], [ProtocolIds.Ping],
            Multiaddr.Parse("/ip4/127.0.0.1/tcp/54321"), "ipfs/0.1.0", "csharp/0.1");
        Assert.Equal(Vector, Convert.ToHexStringLower(encoded));
    }

    [Fact]
    public void These_bytes_are_understood()
    {
        IdentifyMessage message = Read(Convert.FromHexString(Vector));
        Assert.Equal(Key, Convert.ToHexStringLower(message.PublicKey!));
        Assert.Equal([Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001")], message.ListenAddresses);
        Assert.Equal([ProtocolIds.Ping], message.Protocols);
        Assert.Equal(Multiaddr.Parse("/ip4/127.0.0.1/tcp/54321"), message.ObservedAddress);
        Assert.Equal(("ipfs/0.1.0", "csharp/0.1"), (message.ProtocolVersion, message.AgentVersion));
    }

    [Fact]
    public void A_sent_message_never_exceeds_what_rust_reads()
    {
        byte[] encoded = IdentifyMessage.Encode(
            PublicKeyOf(Key),
            Enumerable.Range(1, 200).Select(i => Multiaddr.Parse($"/dns4/a-rather-long-host-name-{i}.example.org/tcp/4001")),
            Enumerable.Range(1, 40).Select(i => $"/a/protocol/with/a/number/{i}"),
            Multiaddr.Parse("/ip4/127.0.0.1/tcp/1"), "ipfs/0.1.0", new string('x', 256));
        Assert.InRange(encoded.Length, 3900, IdentifyMessage.MaxSent);
        IdentifyMessage message = Read(encoded);
        Assert.Equal(40, message.Protocols.Count);
        Assert.NotEmpty(message.ListenAddresses);
        Assert.Equal(256, message.AgentVersion!.Length);
    }

    [Fact]
    public void Several_messages_merge_scalars_replace_and_lists_grow()
    {
        IdentifyMessage message = Read(
            Convert.FromHexString(Vector),
            Frame(new ProtobufWriter()
                .WriteString(6, "other/2").WriteString(3, "/more/1").WriteString(3, ProtocolIds.Ping).WriteBytes(8, [1, 2, 3]).ToArray()));
        Assert.Equal("other/2", message.AgentVersion);
        Assert.Equal("ipfs/0.1.0", message.ProtocolVersion);
        Assert.Equal([ProtocolIds.Ping, "/more/1"], message.Protocols);
    }

    [Fact]
    public void Addresses_that_cannot_be_parsed_are_left_out()
    {
        IdentifyMessage message = Read(Frame(new ProtobufWriter()
            .WriteBytes(2, [0xff, 0xff]).WriteBytes(2, Multiaddr.Parse("/ip4/1.2.3.4/tcp/5").Bytes).WriteBytes(4, []).ToArray()));
        Assert.Equal([Multiaddr.Parse("/ip4/1.2.3.4/tcp/5")], message.ListenAddresses);
        Assert.Null(message.ObservedAddress);
    }

    [Fact]
    public void Lists_and_texts_are_bounded()
    {
        IdentifyMessage message = Read(
            Frame(Many(500, i => $"/p/{i}")), Frame(Many(500, i => $"/q/{i}")),
            Frame(new ProtobufWriter().WriteString(3, "/" + new string('l', 300)).WriteString(6, new string('a', 5000)).ToArray()));
        Assert.Equal(IdentifyMessage.MaxProtocols, message.Protocols.Count);
        Assert.Equal(IdentifyMessage.MaxText, message.AgentVersion!.Length);

        static byte[] Many(int count, Func<int, string> protocol)
        {
            var writer = new ProtobufWriter();
            for (int i = 0; i < count; i++) writer.WriteString(3, protocol(i));
            return writer.ToArray();
        }
    }

    [Theory]
    [InlineData("8140")] // 8193 bytes announced
    [InlineData("ffffffffffffffff7f")]
    [InlineData("8000")] // padded length
    [InlineData("ffffffffffffffffffff01")]
    [InlineData("020a05")] // a field longer than the message
    [InlineData("0100")] // field number 0
    [InlineData("03320180")] // a text that is not UTF-8
    public void Malformed_messages_are_a_violation(string hex)
    {
        var message = new IdentifyMessage();
        var buffer = new ReadOnlySequence<byte>(Convert.FromHexString(hex));
        var error = Assert.Throws<TransportException>(() => message.TryMerge(ref buffer));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public void Random_bytes_are_a_message_a_violation_or_not_enough() => Gen.Byte.Array[0, 300].Sample(
        bytes =>
        {
            var message = new IdentifyMessage();
            var buffer = new ReadOnlySequence<byte>(bytes);
            try
            {
                while (message.TryMerge(ref buffer))
                {
                }
            }
            catch (TransportException e)
            {
                Assert.Equal(TransportError.ProtocolViolation, e.Error);
            }
        },
        iter: 20_000);

    [Fact]
    public async Task Both_sides_learn_about_each_other()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], AgentVersion = "alice/1" });
        Swarm b = await nodes.StartTcpAsync();
        b.Handle("/b/only/1", Questions.EchoAsync);
        PeerConnection there = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        PeerDescription ofB = await there.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => b.Connections.Count > 0, "the connection is listed");
        PeerDescription ofA = await b.Connections[0].IdentifyAsync(Token);

        Assert.Equal("alice/1", ofA.AgentVersion);
        Assert.StartsWith("fastshare/", ofB.AgentVersion, StringComparison.Ordinal);
        Assert.Equal(b.ListenAddresses, ofB.ListenAddresses);
        Assert.Equal(
            [ProtocolIds.Retire, ProtocolIds.Identify, ProtocolIds.IdentifyPush, ProtocolIds.Ping], ofA.Protocols.Order(StringComparer.Ordinal));
        Assert.Contains("/b/only/1", ofB.Protocols);
        Assert.Equal(there.LocalAddress, ofB.ObservedAddress);
        Assert.Same(ofB, there.Description);

        // b never was given a's address; now it can dial it.
        await Eventually.BecomesTrueAsync(() => b.GetAddresses(a.LocalPeer).Count > 0, "addresses were learned");
        Assert.Equal(a.ListenAddresses, b.GetAddresses(a.LocalPeer));
    }

    [Theory]
    [InlineData("")] // says nothing
    [InlineData("05")] // ends inside the message
    [InlineData("0a32082f6c69617273312f31")] // no key
    [InlineData("640a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1208047f000001060fa1"
        + "1a102f697066732f70696e672f312e302e302208047f00000106d4312a0a697066732f302e312e30320a6373686172702f302e31")] // another's key
    public async Task A_peer_that_identifies_itself_badly_stays_unidentified_and_connected(string hex)
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle(ProtocolIds.Identify, (stream, token) => Identify.RespondAsync(stream.Output, Convert.FromHexString(hex), token));
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        var error = await Assert.ThrowsAsync<TransportException>(() => connection.IdentifyAsync(Token));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
        Assert.Null(connection.Description);
        await connection.PingAsync(Token);
    }

    [Fact]
    public async Task A_push_changes_what_it_mentions()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        PeerDescription before = await connection.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => b.Connections.Count > 0, "the connection is listed");
        await b.Connections[0].IdentifyAsync(Token);
        await using PeerStream push = await b.Connections[0].OpenStreamAsync(ProtocolIds.IdentifyPush, Token);
        await Identify.RespondAsync(push.Output, Frame(new ProtobufWriter().WriteString(3, "/new/1").ToArray()), Token);
        Assert.Empty(await push.Input.ReadToEndAsync(Token));
        await Eventually.BecomesTrueAsync(() => !ReferenceEquals(connection.Description, before), "the push was taken");
        Assert.Equal(["/new/1"], connection.Description!.Protocols);
        Assert.Equal(before.AgentVersion, connection.Description.AgentVersion);
        Assert.Equal(before.ListenAddresses, connection.Description.ListenAddresses);
    }

    [Fact]
    public async Task A_push_with_another_peers_key_changes_nothing()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        PeerDescription before = await connection.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => b.Connections.Count > 0, "the connection is listed");
        await using PeerStream push = await b.Connections[0].OpenStreamAsync(ProtocolIds.IdentifyPush, Token);
        await Assert.ThrowsAsync<TransportException>(async () =>
        {
            await Identify.RespondAsync(push.Output, Convert.FromHexString(Vector), Token); // the reset may be here before it has returned
            await push.Input.ReadToEndAsync(Token);
        });
        Assert.Same(before, connection.Description);
    }
}
