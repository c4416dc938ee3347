using FastShare.Transport;
using FastShare.Transport.Sockets;

namespace FastShare.Testing.Transfer;

/// <summary>What streams between two nodes share: they break together. Thread-safe.</summary>
internal sealed class MemoryLink
{
    private readonly CancellationTokenSource _broken = new();
    private readonly TaskCompletionSource _stalled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _carried; // interlocked
    private int _hasStalled; // interlocked
    private TaskCompletionSource? _stall; // volatile
    private string? _passing; // volatile: the protocol that does not wait

    /// <summary>The link breaks in the middle of the byte after these; default: never.</summary>
    public long BreakAfter { get; set; } = long.MaxValue;

    /// <summary>The link stalls, once, when it has carried more than these bytes; default: never.</summary>
    public long StallAfter { get; set; } = long.MaxValue;

    /// <summary>Completes when <see cref="StallAfter"/> took effect.</summary>
    public Task Stalled => _stalled.Task;

    /// <summary>Asked about every write of payload size: true flips a bit of it.</summary>
    public Func<string, long, bool>? Corrupts { get; set; }

    /// <summary>Called after every write, with the bytes carried so far.</summary>
    public Action<long>? Carried { get; set; }

    /// <summary>Asked after every write of payload size: how long the writer does not hear of it, although all of it got through.</summary>
    public Func<string, long, CancellationToken, Task>? Lingers { get; set; }

    /// <summary>What the link says its round trip takes; default: it does not say.</summary>
    public TimeSpan? RoundTripTime { get; set; }

    /// <summary>The other side has died: what it sent goes on arriving, but no ping is answered until the link breaks.</summary>
    public bool IsUnanswered { get; set; }

    /// <summary>What stands for the socket beneath it; default: there is none.</summary>
    public ISocketTuning? Socket { get; set; }

    public bool IsBroken => _broken.IsCancellationRequested;

    public CancellationToken Broken => _broken.Token;

    public long BytesCarried => Interlocked.Read(ref _carried);

    public void Break() => _broken.Cancel();

    /// <summary>From now on writes wait, and nothing arrives, although the link looks alive.</summary>
    public void Stall() => Volatile.Write(ref _stall, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    /// <summary>Writes go on.</summary>
    public void Unstall() => Interlocked.Exchange(ref _stall, null)?.TrySetResult();

    /// <summary>Those of one protocol go on, the others wait still.</summary>
    public void Unstall(string protocol)
    {
        Volatile.Write(ref _passing, protocol);
        TaskCompletionSource? stall = Volatile.Read(ref _stall);
        if (stall is null) return;
        Stall();
        stall.TrySetResult();
    }

    internal async Task WaitWhileStalledAsync(string protocol, CancellationToken cancellationToken)
    {
        while (Volatile.Read(ref _stall) is { } stall && Volatile.Read(ref _passing) != protocol) await stall.Task.WaitAsync(cancellationToken);
    }

    /// <summary>How many of these bytes get through.</summary>
    internal int Admit(int bytes)
    {
        long before = Interlocked.Add(ref _carried, bytes) - bytes;
        if (before + bytes > StallAfter && Interlocked.Exchange(ref _hasStalled, 1) == 0)
        {
            Stall();
            _stalled.SetResult();
        }

        return (int)Math.Clamp(BreakAfter - before, 0, bytes);
    }

    internal static TransportException Lost() => new(TransportError.ConnectionClosed, "the connection was lost");
}
