using FastShare.Testing.Storage;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Storage;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Receivers that are slow, stand still for a while, or for good.</summary>
public class SlowReceiverTests
{
    private const int MiB = 1 << 20;

    /// <summary>16 MiB by default between disk and connection, and 4 where the receiver gathers, in blocks of 1 MiB.</summary>
    private const int MostBlocks = 20;

    // A slow disk holds threads of the pool until time has passed, and time passes on one too: there have to be some at once.
    static SlowReceiverTests()
    {
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(Math.Max(workers, 32), ports);
    }

    [Fact]
    public async Task A_disk_that_stands_still_for_a_minute_costs_bounded_memory_and_no_connection()
    {
        var time = new FakeTimeProvider();
        using var disk = new SlowDisk(time, TimeSpan.FromSeconds(60));
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk.Storage }, time: time);
        pair.AddFile("large", 40 * MiB);
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await disk.Stalled;
        long most = await PassAsync(pair, time, sent, until: time.GetUtcNow() + TimeSpan.FromSeconds(59));
        disk.IsFast = true; // and time goes on
        await PassAsync(pair, time, sent, until: null);
        TransferResult result = await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(most, 1, MostBlocks);
        Assert.Equal((1, 0L), (pair.Network.LinksMade, result.BytesResent));
    }

    /// <summary>
    /// Lets virtual time pass, no faster than both sides say that they live: what real time the machine takes for that makes no difference.
    /// </summary>
    /// <returns>The most blocks that were in use.</returns>
    private static async Task<long> PassAsync(TransferPair pair, FakeTimeProvider time, Transfer sent, DateTimeOffset? until)
    {
        long most = 0;
        while (!sent.Completion.IsCompleted && (until is null || time.GetUtcNow() < until))
        {
            most = Math.Max(most, pair.Blocks.RentedBlocks);
            time.Advance(TimeSpan.FromMilliseconds(500));
            await Task.WhenAny(sent.Completion, Task.Delay(10));
            // Behind what the time that passed has woken, on whatever threads there are: a keep-alive takes some ten such hops.
            for (int hop = 0; hop < 50; hop++) await Task.Run(static () => { });
            for (int i = 0; i < 100 && !pair.Network.IsAllHeard; i++) await Task.Delay(1);
        }

        return most;
    }

    /// <summary>Nothing is read, whatever connection there is, but connections can be had: as from a process that is stopped.</summary>
    [Fact]
    public async Task A_receiver_that_reads_nothing_on_any_connection_is_given_up_with_a_typed_error()
    {
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(time: time);
        pair.AddFile("large", 40 * MiB);
        var stalled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Network.LinkMade = link =>
        {
            link.StallAfter = pair.Network.LinksMade == 1 ? 5 * MiB : 0;
            link.Stalled.ContinueWith(_ => stalled.TrySetResult(), TaskScheduler.Default);
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await stalled.Task;
        DateTimeOffset start = time.GetUtcNow();
        long most = 0;
        while (!sent.Completion.IsCompleted)
        {
            most = Math.Max(most, pair.Blocks.RentedBlocks);
            time.Advance(TimeSpan.FromMilliseconds(500));
            await Task.WhenAny(sent.Completion, Task.Delay(5));
        }

        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        Assert.Equal(TransferError.ConnectionLost, failure.Error);
        Assert.Contains("sending the same again resumes", failure.Message, StringComparison.Ordinal);
        Assert.InRange(most, 1, MostBlocks);
        // Nine times 13 s of silence and the pauses in between; virtual time runs ahead of what it wakes.
        Assert.InRange((time.GetUtcNow() - start).TotalSeconds, 9 * 13, double.MaxValue);
        Assert.Equal(9, pair.Network.LinksMade);
        pair.Network.LinkMade = null;
        pair.Network.BreakLinks();

        Transfer again = pair.Send();
        while (!again.Completion.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.WhenAny(again.Completion, Task.Delay(5));
        }

        await again.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(again.Meter.Moved, 1, 39 * MiB);
    }

    /// <summary>A disk that takes its time over each chunk, in virtual time.</summary>
    private sealed class SlowDisk : IDisposable
    {
        private readonly TimeProvider _time;
        private readonly TimeSpan _each;
        private readonly Lock _gate = new();
        private readonly TaskCompletionSource _stalled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _end = new();
        private DateTimeOffset _free; // guarded by _gate: when the disk is done with what it has taken

        public SlowDisk(TimeProvider time, TimeSpan each)
        {
            _time = time;
            _each = each;
            Storage = new FaultyStorage(ReceiveStoreOptions.MachineStorage) { Fail = Take };
        }

        public FaultyStorage Storage { get; }

        /// <summary>Completes when something has to wait.</summary>
        public Task Stalled => _stalled.Task;

        /// <summary>What comes from now on need not wait.</summary>
        public bool IsFast { get; set; }

        public void Dispose() => _end.Cancel();

        private Exception? Take(string call, int number)
        {
            DateTimeOffset done;
            lock (_gate)
            {
                // Of the calls that write, only chunks are counted: the journal's slots and logs are another matter.
                if (call != "Write" || IsFast || number < 30) return null;
                DateTimeOffset now = _time.GetUtcNow();
                done = _free = (_free > now ? _free : now) + _each;
            }

            _stalled.TrySetResult();
            while (_time.GetUtcNow() < done && !IsFast && !_end.IsCancellationRequested) Thread.Sleep(1);
            return null;
        }
    }
}
