using System.Security.Cryptography;
using CsCheck;
using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Tests.Identity;
using static FastShare.Transport.Tests.Security.SecurityFixture;
using PublicKey = FastShare.Transport.Identity.PublicKey;
using V = FastShare.Transport.Tests.Security.NoiseVectors;

namespace FastShare.Transport.Tests.Security;

public sealed class NoiseProtocolTests
{
    private static readonly NoiseProtocol AliceNoise = new(Alice, NoiseSuite.ChaChaPoly);
    private static readonly NoiseProtocol BobNoise = new(Bob, NoiseSuite.ChaChaPoly);

    private static Func<NoiseKeyPair> Keys(params string[] privateKeys)
    {
        int next = 0;
        return () => NoiseKeyPair.FromPrivate(Convert.FromHexString(privateKeys[next++]));
    }

    private static Task<SecuredChannel> Dial(MemoryConnection connection, PeerId? expected = null, NoiseProtocol? noise = null) =>
        (noise ?? AliceNoise).HandshakeAsync(
            new PlainChannel(connection), ConnectionRole.Dialer, expected, CancellationToken.None).AsTask();

    private static Task<SecuredChannel> Listen(MemoryConnection connection, NoiseProtocol? noise = null) =>
        (noise ?? BobNoise).HandshakeAsync(new PlainChannel(connection), ConnectionRole.Listener, null, CancellationToken.None).AsTask();

    [Fact]
    public async Task The_dialer_speaks_the_libp2p_vector()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var peer = new ScriptedPeer(right);
        Task<SecuredChannel> dial = Dial(
            left, Bob.PeerId, new NoiseProtocol(Alice, NoiseSuite.ChaChaPoly, null, Keys(V.InitiatorStatic, V.InitiatorEphemeral)));
        await peer.ExpectHexAsync(V.Libp2p.Message1);
        await peer.SendHexAsync(V.Libp2p.Message2 + V.Libp2p.FirstFromResponderSealed); // one segment: the rest must wait its turn
        await peer.ExpectHexAsync(V.Libp2p.Message3);
        SecuredChannel secured = await dial;
        Assert.Equal(Bob.PeerId, secured.RemotePeer);
        Assert.Equal(ProtocolIds.Yamux, secured.Muxer);
        Assert.Equal(ProtocolIds.Noise, secured.Security);
        await WriteAsync(secured.Channel, Convert.FromHexString(V.Libp2p.FirstFromInitiator));
        await peer.ExpectHexAsync(V.Libp2p.FirstFromInitiatorSealed);
        Assert.Equal(V.Libp2p.FirstFromResponder, Convert.ToHexStringLower(await ReadAsync(secured.Channel, 12)));
    }

    [Fact]
    public async Task The_listener_speaks_the_libp2p_vector()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var peer = new ScriptedPeer(left);
        Task<SecuredChannel> listen = Listen(
            right, new NoiseProtocol(Bob, NoiseSuite.ChaChaPoly, null, Keys(V.ResponderStatic, V.ResponderEphemeral)));
        await peer.SendHexAsync(V.Libp2p.Message1);
        await peer.ExpectHexAsync(V.Libp2p.Message2);
        await peer.SendHexAsync(V.Libp2p.Message3 + V.Libp2p.FirstFromInitiatorSealed);
        SecuredChannel secured = await listen;
        Assert.Equal(Alice.PeerId, secured.RemotePeer);
        Assert.Equal(ProtocolIds.Yamux, secured.Muxer);
        Assert.Equal(V.Libp2p.FirstFromInitiator, Convert.ToHexStringLower(await ReadAsync(secured.Channel, 12)));
        await WriteAsync(secured.Channel, Convert.FromHexString(V.Libp2p.FirstFromResponder));
        await peer.ExpectHexAsync(V.Libp2p.FirstFromResponderSealed);
    }

    [Theory]
    [InlineData(ProtocolIds.Noise, int.MaxValue)]
    [InlineData(ProtocolIds.Noise, 1)]
    [InlineData(ProtocolIds.NoiseAegis, int.MaxValue)]
    [InlineData(ProtocolIds.NoiseAegis, 1)]
    [InlineData(ProtocolIds.NoiseAesGcm, int.MaxValue)]
    [InlineData(ProtocolIds.NoiseAesGcm, 1)]
    public async Task Both_sides_agree_however_the_bytes_arrive(string protocol, int maxReceive)
    {
        NoiseSuite suite = Suite(protocol);
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: maxReceive);
        BlockPool pool = PoisonedPool();
        Task<SecuredChannel> dial = Dial(left, Bob.PeerId, new NoiseProtocol(Alice, suite, pool));
        Task<SecuredChannel> listen = Listen(right, new NoiseProtocol(Bob, suite, pool));
        SecuredChannel dialed = await dial, listened = await listen;
        Assert.Equal((Bob.PeerId, Alice.PeerId), (dialed.RemotePeer, listened.RemotePeer));
        Assert.Equal((protocol, protocol), (dialed.Security, listened.Security));
        Assert.Equal((ProtocolIds.Yamux, ProtocolIds.Yamux), (dialed.Muxer, listened.Muxer));

        byte[] data = RandomBytes(100_000);
        await WriteAsync(dialed.Channel, data);
        Assert.Equal(data, await ReadAsync(listened.Channel, data.Length));
        await WriteAsync(listened.Channel, data);
        Assert.Equal(data, await ReadAsync(dialed.Channel, data.Length));
        await dialed.Channel.DisposeAsync();
        await listened.Channel.DisposeAsync();
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Fact]
    public async Task Another_peer_than_the_dialed_one_is_refused_and_both_are_named()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        PeerId expected = PeerId.Parse(IdentityVectors.Secp256k1Id);
        Task<SecuredChannel> listen = Listen(right);
        var error = await Assert.ThrowsAsync<TransportException>(() => Dial(left, expected));
        Assert.Equal(TransportError.PeerIdMismatch, error.Error);
        Assert.Equal(expected, error.Peer);
        Assert.Contains(expected.ToString(), error.Message, StringComparison.Ordinal);
        Assert.Contains(Bob.PeerId.ToString(), error.Message, StringComparison.Ordinal);
        Assert.True(left.IsAborted && left.IsDisposed);
        await Assert.ThrowsAsync<TransportException>(() => listen); // the dialer must not tell who it is
    }

    /// <summary>A listener acted by the test: real keys, any payload.</summary>
    private static async Task RespondWith(MemoryConnection connection, Func<byte[], byte[]> makePayload)
    {
        var peer = new ScriptedPeer(connection);
        using var state = new NoiseHandshakeState(
            NoiseSuite.ChaChaPoly, ConnectionRole.Listener, NoiseKeyPair.Generate(), NoiseKeyPair.Generate());
        state.ReadMessage((await peer.ReceiveAsync(34)).AsSpan(2), []);
        await SendMessage(peer, state, makePayload(state.LocalStatic.ToArray()));
    }

    /// <summary>A dialer acted by the test.</summary>
    private static async Task InitiateWith(MemoryConnection connection, Func<byte[], byte[]> makePayload)
    {
        var peer = new ScriptedPeer(connection);
        using var state = new NoiseHandshakeState(
            NoiseSuite.ChaChaPoly, ConnectionRole.Dialer, NoiseKeyPair.Generate(), NoiseKeyPair.Generate());
        await SendMessage(peer, state, []);
        byte[] prefix = await peer.ReceiveAsync(2);
        byte[] second = await peer.ReceiveAsync((prefix[0] << 8) + prefix[1]);
        state.ReadMessage(second, new byte[second.Length]);
        await SendMessage(peer, state, makePayload(state.LocalStatic.ToArray()));
    }

    private static async Task SendMessage(ScriptedPeer peer, NoiseHandshakeState state, byte[] payload)
    {
        byte[] message = new byte[2 + ushort.MaxValue];
        int length = state.WriteMessage(payload, message.AsSpan(2));
        message[0] = (byte)(length >> 8);
        message[1] = (byte)length;
        await peer.SendAsync(message.AsMemory(0, 2 + length));
    }

    private static async Task<TransportException> FailedDial(Func<byte[], byte[]> makePayload)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(left);
        await RespondWith(right, makePayload);
        var error = await Assert.ThrowsAsync<TransportException>(() => dial);
        Assert.True(left.IsAborted && left.IsDisposed);
        return error;
    }

    private static async Task<TransportException> FailedListen(Func<byte[], byte[]> makePayload)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> listen = Listen(right);
        await InitiateWith(left, makePayload);
        var error = await Assert.ThrowsAsync<TransportException>(() => listen);
        Assert.True(right.IsAborted && right.IsDisposed);
        return error;
    }

    private static readonly byte[] BobKey = Bob.PublicKey.Encode();

    private static byte[] Payload(byte[]? key, byte[]? signature, byte[]? extensions = null)
    {
        var writer = new ProtobufWriter();
        if (key is not null) writer.WriteBytes(1, key);
        if (signature is not null) writer.WriteBytes(2, signature);
        if (extensions is not null) writer.WriteBytes(4, extensions);
        return writer.ToArray();
    }

    public static TheoryData<string> BadPayloads =>
        new("none", "no key", "no signature", "wrong key", "wrong text", "garbage", "bad key", "huge key", "bad utf8");

    private static byte[] BadPayload(string kind, byte[] staticKey)
    {
        byte[] signature = Bob.Sign(NoisePayload.SignedText(staticKey));
        return kind switch
        {
            "none" => [],
            "no key" => Payload(null, signature),
            "no signature" => Payload(BobKey, null),
            "wrong key" => Payload(Alice.PublicKey.Encode(), signature),
            "wrong text" => Payload(BobKey, Bob.Sign(staticKey)),
            "garbage" => [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
            "bad key" => Payload([8, 1, 18, 1, 0], signature),
            "huge key" => Payload([8, 0, 18, 0xd0, 0x0f, .. new byte[2000]], signature),
            "bad utf8" => Payload(BobKey, signature, [0x12, 1, 0xff]),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };
    }

    [Theory]
    [MemberData(nameof(BadPayloads))]
    public async Task A_payload_that_proves_nothing_is_refused_by_the_dialer(string kind) =>
        Assert.Equal(TransportError.HandshakeFailed, (await FailedDial(key => BadPayload(kind, key))).Error);

    [Theory]
    [MemberData(nameof(BadPayloads))]
    public async Task A_payload_that_proves_nothing_is_refused_by_the_listener(string kind) =>
        Assert.Equal(TransportError.HandshakeFailed, (await FailedListen(key => BadPayload(kind, key))).Error);

    [Fact]
    public async Task An_oversize_message_is_refused_before_it_is_read()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(left);
        var peer = new ScriptedPeer(right);
        await peer.ReceiveAsync(34);
        await peer.SendHexAsync("2001"); // 8193
        Assert.Contains("8193", (await Assert.ThrowsAsync<TransportException>(() => dial)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    [InlineData(48)]
    public async Task A_first_message_that_is_not_just_a_key_is_refused(int length)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendAsync((byte[])[0, (byte)length, .. RandomBytes(length)]);
        Assert.Equal(TransportError.HandshakeFailed, (await Assert.ThrowsAsync<TransportException>(() => Listen(right))).Error);
        Assert.Equal(0, right.Sends);
    }

    [Fact]
    public async Task A_zero_key_is_refused()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendAsync((byte[])[0, 32, .. new byte[32]]);
        Assert.Equal(TransportError.HandshakeFailed, (await Assert.ThrowsAsync<TransportException>(() => Listen(right))).Error);
        Assert.Equal(0, right.Sends);
    }

    [Fact]
    public async Task A_handshake_cut_short_anywhere_fails_on_both_sides()
    {
        byte[] second = Convert.FromHexString(V.Libp2p.Message2);
        for (int length = 0; length < second.Length; length++)
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            await new ScriptedPeer(right).SendAsync(second.AsMemory(0, length));
            right.CloseWrite();
            NoiseProtocol noise = new(Alice, NoiseSuite.ChaChaPoly, null, Keys(V.InitiatorStatic, V.InitiatorEphemeral));
            Assert.Equal(
                TransportError.HandshakeFailed, (await Assert.ThrowsAsync<TransportException>(() => Dial(left, null, noise))).Error);
        }

        byte[] both = [.. Convert.FromHexString(V.Libp2p.Message1), .. Convert.FromHexString(V.Libp2p.Message3)];
        for (int length = 0; length < both.Length; length++)
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            await new ScriptedPeer(left).SendAsync(both.AsMemory(0, length));
            left.CloseWrite();
            NoiseProtocol noise = new(Bob, NoiseSuite.ChaChaPoly, null, Keys(V.ResponderStatic, V.ResponderEphemeral));
            Assert.Equal(TransportError.HandshakeFailed, (await Assert.ThrowsAsync<TransportException>(() => Listen(right, noise))).Error);
        }
    }

    public static TheoryData<string[]?, string?> MuxerLists => new()
    {
        { null, null }, // as rust-libp2p
        { [], null },
        { ["/mplex/6.7.0"], null }, // as go-libp2p: negotiated inside instead
        { ["/mplex/6.7.0", ProtocolIds.Yamux], ProtocolIds.Yamux },
        { [.. Enumerable.Repeat("/x", 100), ProtocolIds.Yamux], null }, // too long a list counts for nothing
    };

    [Theory]
    [MemberData(nameof(MuxerLists))]
    public async Task The_multiplexer_is_agreed_on_early_only_if_both_list_it(string[]? muxers, string? agreed)
    {
        byte[] Make(byte[] key)
        {
            if (muxers is null) return Payload(BobKey, Bob.Sign(NoisePayload.SignedText(key)));
            var extensions = new ProtobufWriter();
            foreach (string muxer in muxers) extensions.WriteString(2, muxer);
            return Payload(BobKey, Bob.Sign(NoisePayload.SignedText(key)), extensions.WriteVarint(1025, 7).ToArray());
        }

        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(left);
        await RespondWith(right, Make);
        Assert.Equal(agreed, (await dial).Muxer);

        (left, right) = DuplexPair.Create();
        Task<SecuredChannel> listen = Listen(right);
        await InitiateWith(left, Make);
        Assert.Equal(agreed, (await listen).Muxer);
    }

    [Fact]
    public void The_first_of_the_initiators_multiplexers_wins()
    {
        Assert.Equal("/b", NoisePayload.SelectMuxer(["/c", "/b", "/a"], ["/a", "/b"]));
        Assert.Null(NoisePayload.SelectMuxer([], ["/a"]));
        Assert.Null(NoisePayload.SelectMuxer(["/a"], []));
    }

    [Fact]
    public async Task An_rsa_identity_of_the_largest_size_fits()
    {
        using RSA rsa = RSA.Create(4096);
        byte[] key = new ProtobufWriter().WriteVarint(1, 0).WriteBytes(2, rsa.ExportSubjectPublicKeyInfo()).ToArray();
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(left, PublicKey.Decode(key).ToPeerId());
        await RespondWith(right, staticKey =>
            Payload(key, rsa.SignData(NoisePayload.SignedText(staticKey), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)));
        Assert.Equal(KeyType.Rsa, (await dial).RemoteKey.Type);
        // 8192 bits make key and signature twice as long
        Assert.True(96 + (2 * (key.Length + 512)) + 64 < NoiseProtocol.MaxMessageLength);
    }

    [Fact]
    public async Task A_reset_connection_keeps_its_own_error()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(left);
        right.Abort();
        Assert.Equal(TransportError.ConnectionReset, (await Assert.ThrowsAsync<TransportException>(() => dial)).Error);
    }

    [Fact]
    public async Task A_cancelled_handshake_closes_the_connection()
    {
        (MemoryConnection left, _) = DuplexPair.Create();
        using var cancel = new CancellationTokenSource();
        Task<SecuredChannel> dial = AliceNoise.HandshakeAsync(new PlainChannel(left), ConnectionRole.Dialer, null, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => dial);
        Assert.True(left.IsAborted && left.IsDisposed);
    }

    [Fact]
    public void Fuzzed_payloads_fail_with_the_typed_error_or_prove_the_identity()
    {
        byte[] staticKey = Convert.FromHexString(V.Libp2p.ResponderStaticPublic);
        byte[] seed = Convert.FromHexString(V.Libp2p.ResponderPayload);
        Gen.Int.Sample(number =>
        {
            byte[] message = Fuzz.Alter(new Random(number), seed);
            try
            {
                Assert.Equal(Bob.PublicKey.Data, NoisePayload.Verify(message, staticKey).IdentityKey.Data);
            }
            catch (TransportException e)
            {
                Assert.Equal(TransportError.HandshakeFailed, e.Error);
            }
        }, iter: 20_000, threads: 1);
    }

    [Fact]
    public void Fuzzed_handshakes_fail_with_the_typed_error()
    {
        byte[] second = Convert.FromHexString(V.Libp2p.Message2);
        byte[] transcript = [.. Convert.FromHexString(V.Libp2p.Message1), .. Convert.FromHexString(V.Libp2p.Message3)];
        Gen.Int.Sample(number =>
        {
            bool dialer = number % 2 == 0;
            byte[] original = dialer ? second : transcript;
            byte[] altered = Fuzz.Alter(new Random(number), original);
            if (altered.AsSpan().StartsWith(original)) return; // nothing but more bytes behind a good handshake
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(capacity: 4096);
            (dialer ? right : left).SendAsync(altered, CancellationToken.None).AsTask().GetAwaiter().GetResult();
            (dialer ? right : left).CloseWrite();
            NoiseProtocol noise = dialer
                ? new NoiseProtocol(Alice, NoiseSuite.ChaChaPoly, null, Keys(V.InitiatorStatic, V.InitiatorEphemeral))
                : new NoiseProtocol(Bob, NoiseSuite.ChaChaPoly, null, Keys(V.ResponderStatic, V.ResponderEphemeral));
            Task<SecuredChannel> task = dialer ? Dial(left, null, noise) : Listen(right, noise);
            var error = Assert.Throws<TransportException>(() => task.GetAwaiter().GetResult());
            Assert.Equal(TransportError.HandshakeFailed, error.Error);
        }, iter: 3_000, threads: 1);
    }
}
