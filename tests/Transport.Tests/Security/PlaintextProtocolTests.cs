using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Tests.Identity;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class PlaintextProtocolTests
{
    private const string AliceExchange = "4e0a260024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
        + "1224080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";

    private static Task<SecuredChannel> Start(
        PeerIdentity identity, MemoryConnection connection, ConnectionRole role, PeerId? expected = null) =>
        new PlaintextProtocol(identity).HandshakeAsync(new PlainChannel(connection), role, expected, CancellationToken.None).AsTask();

    [Fact]
    public async Task The_exchange_is_that_of_the_vector_and_what_follows_is_raw()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var peer = new ScriptedPeer(right);
        Task<SecuredChannel> dial = Start(Alice, left, ConnectionRole.Dialer, Bob.PeerId);
        await peer.ExpectHexAsync(AliceExchange);
        await peer.SendAsync((byte[])[.. PlaintextProtocol.EncodeExchange(Bob.PublicKey), 1, 2, 3]);
        SecuredChannel secured = await dial;
        Assert.Equal((Bob.PeerId, ProtocolIds.Plaintext, null), (secured.RemotePeer, secured.Security, secured.Muxer));
        Assert.Equal([1, 2, 3], await ReadAsync(secured.Channel, 3));
    }

    [Fact]
    public async Task Both_sides_agree_on_dribbled_bytes()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: 1);
        Task<SecuredChannel> dial = Start(Alice, left, ConnectionRole.Dialer, Bob.PeerId);
        Task<SecuredChannel> listen = Start(Bob, right, ConnectionRole.Listener);
        Assert.Equal((Bob.PeerId, Alice.PeerId), ((await dial).RemotePeer, (await listen).RemotePeer));
    }

    [Fact]
    public async Task Another_peer_than_the_dialed_one_is_refused()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(right).SendHexAsync(AliceExchange);
        PeerId expected = PeerId.Parse(IdentityVectors.Secp256k1Id);
        var error = await Assert.ThrowsAsync<TransportException>(() => Start(Bob, left, ConnectionRole.Dialer, expected));
        Assert.Equal((TransportError.PeerIdMismatch, expected), (error.Error, error.Peer));
    }

    [Theory]
    [InlineData("00")] // empty
    [InlineData("8000")] // padded length
    [InlineData("ffffffffffffffffff01")] // 2^64 - 1
    [InlineData("8110")] // 2049
    [InlineData("020a05")] // cut inside
    [InlineData("260a2408011220")] // truncated
    [InlineData("4e0a260024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27f" // another id
        + "1224080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")]
    public async Task An_unusable_exchange_is_refused(string hex)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(right).SendHexAsync(hex);
        right.CloseWrite();
        var error = await Assert.ThrowsAsync<TransportException>(() => Start(Bob, left, ConnectionRole.Listener));
        Assert.Equal(TransportError.HandshakeFailed, error.Error);
        Assert.True(left.IsAborted && left.IsDisposed);
    }

    [Fact]
    public async Task An_exchange_with_the_largest_rsa_key_fits()
    {
        byte[] key = new ProtobufWriter().WriteVarint(1, 0).WriteBytes(2, RandomBytes(1062)).ToArray();
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(right).SendAsync(PlaintextProtocol.EncodeExchange(PublicKey.Decode(key)));
        Assert.Equal(KeyType.Rsa, (await Start(Bob, left, ConnectionRole.Listener)).RemoteKey.Type);
    }
}
