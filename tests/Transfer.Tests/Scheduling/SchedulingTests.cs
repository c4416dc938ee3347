using CsCheck;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Sessions;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Scheduling;

public class SchedulingTests
{
    [Fact]
    public async Task A_plan_is_worked_off_in_order_without_what_is_there()
    {
        var queue = new PlanQueue();
        queue.Add(new PlanMessage(0, 3, [new PlannedFile(1, [])]));
        queue.Add(new PlanMessage(3, 2, [new PlannedFile(3, [new ChunkRange(4, 2)]), new PlannedFile(4, [], IsPending: true)]));
        queue.Add(new PlanMessage(5, 7, [new PlannedFile(6, [], Count: 3), new PlannedFile(10, [], Count: 2)]));
        queue.Add(new PlanMessage(12, 1, []));
        Assert.Equal(13u, queue.Covered);
        var ids = new List<(uint, int?)>();
        while (!queue.IsDrained)
        {
            ValueTask<FileTask?> next = queue.NextAsync(CancellationToken.None);
            if (!next.IsCompleted)
            {
                queue.Complete();
                Assert.Null(await next);
                break;
            }

            FileTask task = (await next)!.Value;
            ids.Add((task.Id, task.Ranges?.Count));
            queue.Done();
        }

        Assert.Equal([(0, null), (2, null), (3, 1), (5, null), (9, null), (12, null)], ids);
        Assert.True(queue.IsDrained);
    }

    [Fact]
    public void A_plan_that_leaves_a_gap_is_a_violation()
    {
        var queue = new PlanQueue();
        queue.Add(new PlanMessage(0, 3, []));
        Assert.Equal(TransferError.ProtocolViolation, Assert.Throws<TransferException>(() => queue.Add(new PlanMessage(4, 1, []))).Error);
    }

    [Fact]
    public async Task Repairs_come_before_everything_else()
    {
        var queue = new PlanQueue();
        ValueTask<FileTask?> waiting = queue.NextAsync(CancellationToken.None);
        Assert.False(waiting.IsCompleted);
        queue.AddRepair(9, 4);
        FileTask repair = (await waiting)!.Value;
        Assert.Equal((9u, new ChunkRange(4, 1), true), (repair.Id, Assert.Single(repair.Ranges!), repair.IsRepair));
        Assert.False(queue.IsDrained);
        queue.Done();
        Assert.True(queue.IsDrained);
    }

    [Theory]
    [InlineData(0, 0, TransferMode.Sequential)]
    [InlineData(15, 15, TransferMode.Sequential)]
    [InlineData(16, 16L << 10, TransferMode.Parallel)]
    [InlineData(1_000_000, 1_000_000L << 20, TransferMode.Sequential)]
    [InlineData(1_000_000, 1_000_000L << 19, TransferMode.Parallel)]
    public void The_shape_of_the_work_chooses_the_mode(long files, long bytes, TransferMode mode)
    {
        ModeChoice choice = ModeChoice.For(files, bytes);
        Assert.Equal(mode, choice.Mode);
        Assert.StartsWith($"{files} files", choice.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Waits_double_up_to_a_limit_and_differ()
    {
        Assert.Equal(TimeSpan.FromSeconds(0.125), Backoff.Delay(1, 0));
        Assert.Equal(TimeSpan.FromSeconds(0.25), Backoff.Delay(1, 0.5));
        Assert.Equal(TimeSpan.FromSeconds(1), Backoff.Delay(3, 0.5));
        Gen.Select(Gen.Int[1, int.MaxValue], Gen.Double[0, 1]).Sample((attempt, random) =>
            Backoff.Delay(attempt, random) is var delay && delay > TimeSpan.Zero && delay <= TimeSpan.FromSeconds(15));
    }

    [Fact]
    public void The_rate_is_that_of_the_last_seconds()
    {
        var time = new FakeTimeProvider();
        var meter = new RateMeter(time);
        long total = 0;
        double rate = 0;
        for (int i = 0; i < 40; i++)
        {
            time.Advance(TimeSpan.FromSeconds(0.5));
            rate = meter.Sample(total += 500);
        }

        Assert.InRange(rate, 999, 1001);
        for (int i = 0; i < 40; i++)
        {
            time.Advance(TimeSpan.FromSeconds(0.5));
            rate = meter.Sample(total);
        }

        Assert.InRange(rate, 0, 10);
    }

    [Fact]
    public async Task Every_reader_of_a_log_sees_the_last_events_and_then_the_new_ones()
    {
        var log = new EventLog<int>(3, 3);
        for (int i = 1; i <= 5; i++) log.Add(i);
        await using IAsyncEnumerator<int> early = log.ReadAsync(CancellationToken.None).GetAsyncEnumerator();
        Assert.True(await early.MoveNextAsync());
        Assert.Equal(3, early.Current);
        log.Add(6);
        log.End();
        log.Add(7);
        List<int> rest = [];
        while (await early.MoveNextAsync()) rest.Add(early.Current);
        Assert.Equal([4, 5, 6], rest);
        Assert.Equal([4, 5, 6], await log.ReadAsync(CancellationToken.None).ToListAsync());
    }
}
