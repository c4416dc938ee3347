using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using Microsoft.Extensions.Time.Testing;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class ConnectionUpgraderTests
{
    private const string Header = "132f6d756c746973747265616d2f312e302e300a";
    private const string Noise = "072f6e6f6973650a";
    private const string Na = "036e610a";

    private readonly FakeTimeProvider _time = new();

    private ConnectionUpgrader Upgrader(
        PeerIdentity identity, SecurityMode mode = SecurityMode.Noise, bool aes = true, BlockPool? pool = null) =>
        new(
            new SwarmOptions { Identity = identity, Security = mode, TimeProvider = _time }, pool,
            aes ? [NoiseSuite.Aegis, NoiseSuite.AesGcm] : []);

    private static Task<SecuredChannel> Dial(
        ConnectionUpgrader upgrader, MemoryConnection connection, PeerId? peer = null, CancellationToken token = default) =>
        upgrader.UpgradeAsync(connection, ConnectionRole.Dialer, peer ?? Bob.PeerId, token).AsTask();

    private static Task<SecuredChannel> Listen(ConnectionUpgrader upgrader, MemoryConnection connection) =>
        upgrader.UpgradeAsync(connection, ConnectionRole.Listener, null, CancellationToken.None).AsTask();

    private static byte[] Message(string token) => [(byte)(token.Length + 1), .. System.Text.Encoding.UTF8.GetBytes(token), (byte)'\n'];

    [Theory]
    [InlineData(SecurityMode.Noise, true, ProtocolIds.NoiseAegis)]
    [InlineData(SecurityMode.NoiseAesGcm, true, ProtocolIds.NoiseAesGcm)]
    [InlineData(SecurityMode.NoiseAesGcm, false, ProtocolIds.Noise)]
    [InlineData(SecurityMode.Noise, false, ProtocolIds.Noise)]
    [InlineData(SecurityMode.InsecurePlaintext, true, ProtocolIds.Plaintext)]
    public async Task Two_nodes_agree_and_exchange_data(SecurityMode mode, bool dialerHasAes, string security)
    {
        foreach (int maxReceive in (int[])[int.MaxValue, 1])
        {
            BlockPool pool = PoisonedPool();
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: maxReceive);
            Task<SecuredChannel> dial = Dial(Upgrader(Alice, mode, dialerHasAes, pool), left);
            Task<SecuredChannel> listen = Listen(Upgrader(Bob, mode, pool: pool), right);
            SecuredChannel dialed = await dial, listened = await listen;
            Assert.Equal((security, security), (dialed.Security, listened.Security));
            Assert.Equal((ProtocolIds.Yamux, ProtocolIds.Yamux), (dialed.Muxer, listened.Muxer));
            Assert.Equal((Bob.PeerId, Alice.PeerId), (dialed.RemotePeer, listened.RemotePeer));
            byte[] data = RandomBytes(5000);
            await WriteAsync(dialed.Channel, data);
            Assert.Equal(data, await ReadAsync(listened.Channel, data.Length));
            await dialed.Channel.DisposeAsync();
            await listened.Channel.DisposeAsync();
            Assert.Equal(0, pool.RentedBlocks);
            Assert.True(left.IsDisposed && right.IsDisposed);
        }
    }

    [Theory]
    [InlineData(SecurityMode.NoiseAesGcm, true, SecurityMode.Noise, true, ProtocolIds.NoiseAesGcm)]
    [InlineData(SecurityMode.Noise, true, SecurityMode.NoiseAesGcm, true, ProtocolIds.Noise)]
    [InlineData(SecurityMode.Noise, true, SecurityMode.Noise, false, ProtocolIds.Noise)]
    [InlineData(SecurityMode.Noise, false, SecurityMode.Noise, true, ProtocolIds.Noise)]
    public async Task Nodes_with_different_ciphers_have_one_in_common(
        SecurityMode dialer, bool dialerHasAes, SecurityMode listener, bool listenerHasAes, string security)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(Upgrader(Alice, dialer, dialerHasAes), left);
        Task<SecuredChannel> listen = Listen(Upgrader(Bob, listener, listenerHasAes), right);
        Assert.Equal((security, security), ((await dial).Security, (await listen).Security));
    }

    [Fact]
    public async Task A_processor_with_aes_and_no_avx_makes_aes_gcm_the_first()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var dialer = new ConnectionUpgrader(new SwarmOptions { Identity = Alice, TimeProvider = _time }, null, [NoiseSuite.AesGcm]);
        Task<SecuredChannel> dial = Dial(dialer, left), listen = Listen(Upgrader(Bob), right);
        Assert.Equal((ProtocolIds.NoiseAesGcm, ProtocolIds.NoiseAesGcm), ((await dial).Security, (await listen).Security));
    }

    [Fact]
    public async Task A_peer_without_the_fast_variant_gets_noise_on_the_same_connection()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(Upgrader(Alice), left);
        var peer = new ScriptedPeer(right);
        await peer.SendHexAsync(Header); // go sends its header before it reads
        await peer.ExpectHexAsync(Header);
        Assert.Equal(Message(ProtocolIds.NoiseAegis), await peer.ReceiveAsync(Message(ProtocolIds.NoiseAegis).Length));
        await peer.SendHexAsync(Na);
        await peer.ExpectHexAsync(Noise);
        await peer.SendHexAsync(Noise);
        Task<SecuredChannel> listen = new NoiseProtocol(Bob, NoiseSuite.ChaChaPoly)
            .HandshakeAsync(new PlainChannel(right), ConnectionRole.Listener, null, CancellationToken.None).AsTask();
        Assert.Equal(ProtocolIds.Noise, (await dial).Security);
        Assert.Equal(Alice.PeerId, (await listen).RemotePeer);
    }

    /// <summary>A rust-libp2p node: lazy, so everything in one segment, and no multiplexer in its payload.</summary>
    [Fact]
    public async Task A_lazy_peer_that_lists_no_multiplexer_negotiates_it_inside()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> listen = Listen(Upgrader(Bob), right);
        var peer = new ScriptedPeer(left);
        using var state = new NoiseHandshakeState(
            NoiseSuite.ChaChaPoly, ConnectionRole.Dialer, NoiseKeyPair.Generate(), NoiseKeyPair.Generate());
        byte[] first = new byte[32];
        state.WriteMessage([], first);
        await peer.SendAsync((byte[])[.. Convert.FromHexString(Header + Noise), 0, 32, .. first]);
        await peer.ExpectHexAsync(Header + Noise);
        byte[] prefix = await peer.ReceiveAsync(2);
        byte[] second = await peer.ReceiveAsync((prefix[0] << 8) + prefix[1]);
        state.ReadMessage(second, new byte[second.Length]);
        byte[] third = new byte[1024];
        int length = state.WriteMessage(NoisePayload.Create(Alice, state.LocalStatic, []).Encode(), third);
        (NoiseCipherState send, NoiseCipherState receive) = state.Split();
        await peer.SendAsync((byte[])
        [
            (byte)(length >> 8), (byte)length, .. third.AsSpan(0, length),
            .. Record(send, [.. Convert.FromHexString(Header), .. Message(ProtocolIds.Yamux), 1, 2, 3]),
        ]);
        SecuredChannel secured = await listen;
        Assert.Equal((ProtocolIds.Noise, ProtocolIds.Yamux), (secured.Security, secured.Muxer));
        Assert.Equal([1, 2, 3], await ReadAsync(secured.Channel, 3));
        byte[] expected = [.. Convert.FromHexString(Header), .. Message(ProtocolIds.Yamux)];
        byte[] record = await peer.ReceiveAsync(2 + expected.Length + receive.TagLength);
        byte[] opened = new byte[expected.Length];
        Assert.True(receive.TryOpen(default, record.AsSpan(2), opened));
        Assert.Equal(expected, opened);
    }

    [Theory]
    [InlineData(SecurityMode.Noise, SecurityMode.InsecurePlaintext)]
    [InlineData(SecurityMode.InsecurePlaintext, SecurityMode.Noise)]
    public async Task A_mix_of_secure_and_insecure_says_so_on_both_sides(SecurityMode dialerMode, SecurityMode listenerMode)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(Upgrader(Alice, dialerMode), left);
        Task<SecuredChannel> listen = Listen(Upgrader(Bob, listenerMode), right);
        var dialError = await Assert.ThrowsAsync<TransportException>(() => dial);
        var listenError = await Assert.ThrowsAsync<TransportException>(() => listen);
        foreach (TransportException error in (TransportException[])[dialError, listenError])
        {
            Assert.Equal(TransportError.HandshakeFailed, error.Error);
            Assert.Contains("--insecure", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(Bob.PeerId, dialError.Peer);
        Assert.Contains(left.RemoteAddress.ToString(), dialError.Message, StringComparison.Ordinal);
        Assert.Contains(Bob.PeerId.ToString(), dialError.Message, StringComparison.Ordinal);
        Assert.Contains(right.RemoteAddress.ToString(), listenError.Message, StringComparison.Ordinal);
        Assert.True(left.IsAborted && left.IsDisposed && right.IsAborted && right.IsDisposed);
    }

    [Fact]
    public async Task A_wrong_peer_keeps_its_own_error()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> listen = Listen(Upgrader(Bob), right);
        var error = await Assert.ThrowsAsync<TransportException>(() => Dial(Upgrader(Alice), left, Alice.PeerId));
        Assert.Equal((TransportError.PeerIdMismatch, Alice.PeerId), (error.Error, error.Peer));
        await Assert.ThrowsAsync<TransportException>(() => listen);
    }

    [Theory]
    [InlineData(0, "security negotiation")]
    [InlineData(1, "/noise handshake")]
    [InlineData(2, "multiplexer negotiation")]
    public async Task A_deadline_names_the_stage_it_was_spent_in(int stage, string named)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> dial = Dial(Upgrader(Alice, aes: false), left);
        var peer = new ScriptedPeer(right);
        await peer.ExpectHexAsync(Header + Noise);
        if (stage > 0) await peer.SendHexAsync(Header + Noise);
        if (stage > 1)
        {
            using var state = new NoiseHandshakeState(
                NoiseSuite.ChaChaPoly, ConnectionRole.Listener, NoiseKeyPair.Generate(), NoiseKeyPair.Generate());
            state.ReadMessage((await peer.ReceiveAsync(34)).AsSpan(2), []);
            byte[] second = new byte[1024];
            int length = state.WriteMessage(NoisePayload.Create(Bob, state.LocalStatic, []).Encode(), second.AsSpan(2));
            (second[0], second[1]) = ((byte)(length >> 8), (byte)length);
            await peer.SendAsync(second.AsMemory(0, 2 + length));
            await peer.ReceiveAsync(2 + 184); // the third message
            await peer.ReceiveAsync(2 + 16 + 20 + 14); // its proposal of yamux, sealed
        }

        else if (stage > 0)
        {
            await peer.ReceiveAsync(34);
        }

        _time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.False(dial.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(0.2));
        var error = await Assert.ThrowsAsync<TransportException>(() => dial);
        Assert.Equal((TransportError.Timeout, Bob.PeerId), (error.Error, error.Peer));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.Contains("10 s", error.Message, StringComparison.Ordinal);
        Assert.True(left.IsAborted && left.IsDisposed);
    }

    [Fact]
    public async Task The_callers_cancellation_is_no_timeout()
    {
        (MemoryConnection left, _) = DuplexPair.Create();
        using var cancel = new CancellationTokenSource();
        Task<SecuredChannel> dial = Dial(Upgrader(Alice), left, token: cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => dial);
        Assert.True(left.IsAborted && left.IsDisposed);
    }

    [Theory]
    [InlineData("")] // hung up
    [InlineData("00")] // empty message
    [InlineData("8408")] // too long
    [InlineData("132f6d756c746973747265616d2f322e302e300a")] // another version
    [InlineData(Header)]
    [InlineData(Header + "0b2f746c732f312e302e300a")] // only /tls/1.0.0
    [InlineData(Header + Noise + "0021")]
    public async Task A_listener_survives_whatever_a_stranger_sends(string hex)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var peer = new ScriptedPeer(left);
        await peer.SendHexAsync(hex);
        peer.CloseWrite();
        var error = await Assert.ThrowsAsync<TransportException>(() => Listen(Upgrader(Bob), right));
        Assert.True(error.Error is TransportError.HandshakeFailed or TransportError.ConnectionClosed, error.Error.ToString());
        Assert.Contains(right.RemoteAddress.ToString(), error.Message, StringComparison.Ordinal);
        Assert.True(right.IsAborted && right.IsDisposed);
    }

    [Fact]
    public async Task Both_sides_dialing_at_once_on_one_connection_fail_cleanly()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<SecuredChannel> one = Dial(Upgrader(Alice, aes: false), left), other = Dial(Upgrader(Bob, aes: false), right, Alice.PeerId);
        await Assert.ThrowsAsync<TransportException>(() => one);
        await Assert.ThrowsAsync<TransportException>(() => other);
    }
}
