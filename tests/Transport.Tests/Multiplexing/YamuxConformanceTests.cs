using FastShare.Testing;
using FastShare.Testing.Multiplexing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>The conformance suite over channels whose blocks are watched: none may be lost or returned twice.</summary>
public abstract class YamuxConformanceTests : MuxConformanceTests
{
    private readonly BlockPool _pool = new() { PoisonOnReturn = true };

    private protected abstract (IByteChannel Dialer, IByteChannel Listener) Channels { get; }

    private protected override ValueTask<(IMuxedConnection Dialer, IMuxedConnection Listener)> ConnectAsync()
    {
        var options = new YamuxOptions { Pool = _pool };
        (IByteChannel left, IByteChannel right) = Channels;
        var dialer = new YamuxConnection(left, ConnectionRole.Dialer, options, TimeProvider.System, NullLogger.Instance);
        var listener = new YamuxConnection(right, ConnectionRole.Listener, options, TimeProvider.System, NullLogger.Instance);
        dialer.Start();
        listener.Start();
        return ValueTask.FromResult<(IMuxedConnection, IMuxedConnection)>((dialer, listener));
    }

    private protected override async ValueTask OnClosedAsync()
    {
        Assert.True(Dialer.Closed.IsCompletedSuccessfully);
        Assert.True(Listener.Closed.IsCompletedSuccessfully);
        await Task.CompletedTask;
    }
}

public sealed class YamuxOverMemoryTests : YamuxConformanceTests
{
    private protected override (IByteChannel Dialer, IByteChannel Listener) Channels => MemoryByteChannel.CreatePair();
}

public sealed class YamuxOverTinyBatchesTests : YamuxConformanceTests
{
    private protected override (IByteChannel Dialer, IByteChannel Listener) Channels =>
        MemoryByteChannel.CreatePair(capacity: 5000, batchSize: 1000, maxRead: 777);
}

public sealed class YamuxOverPlainChannelTests : YamuxConformanceTests
{
    private protected override (IByteChannel Dialer, IByteChannel Listener) Channels
    {
        get
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            return (new PlainChannel(left), new PlainChannel(right));
        }
    }
}
