using FastShare.Testing.Multiplexing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>A connection under test whose remote side follows a script, in virtual time.</summary>
internal sealed class ScriptedNode : IAsyncDisposable
{
    private ScriptedNode(MemoryByteChannel near, MemoryByteChannel far, ConnectionRole role, YamuxOptions? options)
    {
        Near = near;
        Far = far;
        Peer = new ScriptedYamuxPeer(far);
        Connection = new YamuxConnection(near, role, options ?? new YamuxOptions { Pool = Pool }, Time, NullLogger.Instance);
    }

    public static BlockPool Pool { get; } = new() { PoisonOnReturn = true };

    public FakeTimeProvider Time { get; } = new();

    public MemoryByteChannel Near { get; }

    public MemoryByteChannel Far { get; }

    public ScriptedYamuxPeer Peer { get; }

    public YamuxConnection Connection { get; }

    /// <summary>A started node. Its role is that of the listener unless said otherwise, so the script opens odd streams.</summary>
    public static ScriptedNode Start(ConnectionRole role = ConnectionRole.Listener, YamuxOptions? options = null, int capacity = 1 << 20)
    {
        (MemoryByteChannel near, MemoryByteChannel far) = MemoryByteChannel.CreatePair(capacity);
        var node = new ScriptedNode(near, far, role, options);
        node.Connection.Start();
        return node;
    }

    /// <summary>A stream that the script opened and the node accepted; the acknowledgement was read.</summary>
    public async Task<IMuxedStream> OpenFromPeerAsync(uint id)
    {
        await Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, id);
        IMuxedStream stream = (await Connection.AcceptStreamAsync(default))!;
        await Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, id, 0);
        return stream;
    }

    /// <summary>A stream that the node opened; the announcement was read, and answered.</summary>
    public async Task<IMuxedStream> OpenToPeerAsync(bool acknowledge = true)
    {
        IMuxedStream stream = await Connection.OpenStreamAsync(default);
        await Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Syn, (uint)stream.Id, 0);
        if (acknowledge) await Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Ack, (uint)stream.Id);
        return stream;
    }

    /// <summary>Waits until the node has taken every frame sent so far: it has answered a ping.</summary>
    public async Task SettleAsync()
    {
        await Peer.SendAsync(FrameType.Ping, FrameFlags.Syn, 0, 0x5e771e);
        await Peer.ExpectAsync(FrameType.Ping, FrameFlags.Ack, 0, 0x5e771e);
    }

    /// <summary>The same, when announcements of these streams come before the answer.</summary>
    public async Task SettleAfterSynsAsync(params uint[] ids)
    {
        foreach (uint id in ids) await Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Syn, id);
        await SettleAsync();
    }

    /// <summary>Lets virtual time pass until a task ends, a second at a time, so that every timer meanwhile is set anew.</summary>
    public async Task<TimeSpan> AdvanceUntilAsync(Task task)
    {
        for (int seconds = 0; ; seconds++)
        {
            for (int i = 0; i < 20 && !task.IsCompleted; i++) await Task.Delay(1); // loops get to their timers
            if (task.IsCompleted) return TimeSpan.FromSeconds(seconds);
            if (seconds > 300) throw new TimeoutException("nothing happened in five minutes of virtual time");
            Time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    public async ValueTask DisposeAsync()
    {
        Far.Abort();
        await Connection.DisposeAsync();
        Assert.True(Near.IsDisposed);
    }
}
