using FastShare.Testing.Transfer;
using FastShare.Transfer.Telemetry;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary><see cref="Transfer.ReportAsync"/> and <see cref="SendOptions.Progress"/>.</summary>
public class ProgressReportTests
{
    private static readonly TimeSpan _interval = TimeSpan.FromSeconds(1);

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task Reports_come_at_once_then_where_something_changed_once_an_interval_and_at_the_end()
    {
        Transfer transfer = NewTransfer();
        var reports = new Recorder();
        Task reporting = transfer.ReportAsync(reports, _interval);
        Assert.Equal(TransferState.Connecting, Assert.Single(reports.All).State);
        for (int i = 0; i < 100; i++) transfer.Meter.AddMoved(10);
        _time.Advance(_interval / 2);
        Assert.Single(reports.All);
        _time.Advance(_interval / 2);
        await reports.WhenAsync(all => all.Count > 1);
        Assert.Equal(1000, reports.All[^1].Bytes);
        _time.Advance(_interval); // nothing changed
        transfer.Succeed();
        await reporting;
        Assert.Equal([TransferState.Connecting, TransferState.Connecting, TransferState.Completed], reports.All.Select(one => one.State));
    }

    [Fact]
    public async Task Somebody_slow_is_told_one_thing_after_another_and_delays_nothing_but_that()
    {
        Transfer transfer = NewTransfer();
        using var goOn = new SemaphoreSlim(0);
        var slow = new Recorder { Before = goOn.Wait };
        Task reporting = Task.Run(() => transfer.ReportAsync(slow, _interval));
        await slow.Entered;
        for (int i = 0; i < 10; i++)
        {
            transfer.Meter.AddMoved(10);
            _time.Advance(_interval);
        }

        transfer.Succeed();
        await transfer.Completion;
        Assert.Empty(slow.All);
        goOn.Release(100);
        await reporting;
        Assert.Equal(1, slow.MostAtOnce);
        // what changed meanwhile is told as it is now
        Assert.Equal((2, 100), (slow.All.Count, slow.All[^1].Bytes));
    }

    [Fact]
    public async Task The_last_report_of_a_failed_transfer_says_so()
    {
        Transfer transfer = NewTransfer();
        var reports = new Recorder();
        Task reporting = transfer.ReportAsync(reports, _interval);
        transfer.Fail(new TransferException(TransferError.Refused, "no"));
        await reporting;
        Assert.Equal(TransferState.Failed, reports.All[^1].State);
        // as it is when nobody asked before the end
        await transfer.ReportAsync(reports, _interval);
        Assert.Equal(TransferState.Failed, reports.All[^1].State);
    }

    [Fact]
    public async Task Cancelling_ends_the_reports_and_not_the_transfer()
    {
        Transfer transfer = NewTransfer();
        var reports = new Recorder();
        using var enough = new CancellationTokenSource();
        Task reporting = transfer.ReportAsync(reports, _interval, enough.Token);
        await enough.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reporting);
        Assert.Equal(TransferState.Connecting, transfer.Progress.State);
        Assert.False(transfer.Completion.IsCompleted);
    }

    [Fact]
    public async Task Both_sides_can_be_followed_from_start_to_end()
    {
        await using var pair = new TransferPair();
        string file = pair.AddFile("file", 3 << 20);
        Recorder sending = new(), receiving = new();
        Transfer sent = pair.Send(new SendOptions { Progress = sending }, file);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Task reporting = received.ReportAsync(receiving, TimeSpan.FromMilliseconds(1));
        await sent.Completion;
        await reporting;
        await sending.WhenAsync(all => all.Count > 0 && all[^1].State == TransferState.Completed);
        foreach (Recorder side in new[] { sending, receiving })
        {
            TransferProgress last = side.All[^1];
            Assert.Equal((TransferState.Completed, 3 << 20, 3 << 20, 1, 1), (last.State, last.Bytes, last.TotalBytes, last.Files, last.TotalFiles));
            Assert.Equal(side.All.Select(one => one.Bytes).Order(), side.All.Select(one => one.Bytes));
            Assert.Equal(1, side.MostAtOnce);
        }
    }

    [Fact]
    public async Task Somebody_who_throws_is_told_no_more_and_disturbs_no_transfer()
    {
        await using var pair = new TransferPair();
        var thrower = new Recorder { Before = () => throw new InvalidOperationException("the window was closed") };
        Transfer sent = pair.Send(new SendOptions { Progress = thrower }, pair.AddFile("file", 1000));
        await sent.Completion;
        await thrower.Entered;
        InvalidOperationException failure = await Assert.ThrowsAsync<InvalidOperationException>(() => sent.ReportAsync(thrower));
        Assert.Equal("the window was closed", failure.Message);
    }

    private Transfer NewTransfer()
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        return new Transfer(identity.PeerId, isIncoming: false, _time, TransferInstruments.Shared);
    }

    /// <summary>Remembers what it was told. Thread-safe.</summary>
    private sealed class Recorder : IProgress<TransferProgress>
    {
        private readonly Lock _gate = new();
        private readonly List<TransferProgress> _all = []; // guarded by _gate
        private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously); // guarded by _gate
        private int _inside; // interlocked
        private int _mostAtOnce; // guarded by _gate

        /// <summary>Run by each report, before it is remembered.</summary>
        public Action? Before { get; init; }

        /// <summary>Completes with the first report's beginning.</summary>
        public Task Entered => _entered.Task;

        public int MostAtOnce
        {
            get
            {
                lock (_gate) return _mostAtOnce;
            }
        }

        public IReadOnlyList<TransferProgress> All
        {
            get
            {
                lock (_gate) return [.. _all];
            }
        }

        public async Task WhenAsync(Func<IReadOnlyList<TransferProgress>, bool> condition)
        {
            while (true)
            {
                Task more;
                lock (_gate)
                {
                    if (condition(_all)) return;
                    more = _more.Task;
                }

                await more;
            }
        }

        public void Report(TransferProgress value)
        {
            int inside = Interlocked.Increment(ref _inside);
            lock (_gate) _mostAtOnce = Math.Max(_mostAtOnce, inside);
            _entered.TrySetResult();
            try
            {
                Before?.Invoke();
            }
            finally
            {
                Interlocked.Decrement(ref _inside);
            }

            TaskCompletionSource more;
            lock (_gate)
            {
                _all.Add(value);
                more = _more;
                _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            more.SetResult();
        }
    }
}
