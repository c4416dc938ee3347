using FastShare.Testing.Multiplexing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>The conformance suite over yamux; memory is overwritten when it goes back to the pool, so use after return shows.</summary>
public abstract class YamuxConformanceTests : MuxConformanceTests
{
    private readonly YamuxOptions _options = new() { Pool = new BlockPool { PoisonOnReturn = true } };

    private protected abstract ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectChannelsAsync();

    private protected override async ValueTask<(IMuxedConnection Dialer, IMuxedConnection Listener)> ConnectAsync()
    {
        (IByteChannel left, IByteChannel right) = await ConnectChannelsAsync();
        var dialer = new YamuxConnection(left, ConnectionRole.Dialer, _options, TimeProvider.System, NullLogger.Instance);
        var listener = new YamuxConnection(right, ConnectionRole.Listener, _options, TimeProvider.System, NullLogger.Instance);
        dialer.Start();
        listener.Start();
        return (dialer, listener);
    }

    private protected override ValueTask OnClosedAsync()
    {
        Assert.True(Dialer.Closed.IsCompletedSuccessfully);
        Assert.True(Listener.Closed.IsCompletedSuccessfully);
        return default;
    }
}

public sealed class YamuxOverMemoryTests : YamuxConformanceTests
{
    private protected override ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectChannelsAsync()
    {
        (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair();
        return ValueTask.FromResult<(IByteChannel, IByteChannel)>((left, right));
    }
}

public sealed class YamuxOverTinyBatchesTests : YamuxConformanceTests
{
    private protected override ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectChannelsAsync()
    {
        (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair(capacity: 5000, batchSize: 1000, maxRead: 777);
        return ValueTask.FromResult<(IByteChannel, IByteChannel)>((left, right));
    }
}

public sealed class YamuxOverPlainTcpTests : YamuxConformanceTests
{
    private protected override ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectChannelsAsync() => TcpChannels.ConnectAsync();
}

public sealed class YamuxOverNoiseTests : YamuxConformanceTests
{
    private protected override async ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectChannelsAsync()
    {
        (IByteChannel left, IByteChannel right) = await TcpChannels.ConnectAsync();
        using var dialer = PeerIdentity.Generate();
        using var listener = PeerIdentity.Generate();
        Task<SecuredChannel> securing = new NoiseProtocol(dialer, NoiseSuite.ChaChaPoly)
            .HandshakeAsync(left, ConnectionRole.Dialer, listener.PeerId, default).AsTask();
        SecuredChannel secured = await new NoiseProtocol(listener, NoiseSuite.ChaChaPoly)
            .HandshakeAsync(right, ConnectionRole.Listener, null, default);
        return ((await securing).Channel, secured.Channel);
    }
}

internal static class TcpChannels
{
    /// <summary>Two ends of a TCP connection on the loopback interface.</summary>
    public static async ValueTask<(IByteChannel Dialer, IByteChannel Listener)> ConnectAsync()
    {
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), default);
        Task<IDuplexConnection> dialing = transport.DialAsync(listener.Address, default).AsTask();
        IDuplexConnection accepted = await listener.AcceptAsync(default);
        return (new PlainChannel(await dialing), new PlainChannel(accepted));
    }
}
