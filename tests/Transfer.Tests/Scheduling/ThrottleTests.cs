using FastShare.Transfer.Scheduling;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Scheduling;

public class ThrottleTests
{
    [Fact]
    public async Task A_rate_limit_lets_its_rate_pass_and_no_more()
    {
        var time = new FakeTimeProvider();
        using var bucket = new TokenBucket(time, 1000);
        var flow = new WeightedFlow(() => 1);
        long passed = 0;
        Task loop = Task.Run(async () =>
        {
            while (passed < 10_000)
            {
                await bucket.TakeAsync(50, flow, CancellationToken.None);
                Interlocked.Add(ref passed, 50);
            }
        });
        double seconds = 0;
        while (!loop.IsCompleted)
        {
            // A tenth of a second in advance, and one piece under way.
            Assert.InRange(Interlocked.Read(ref passed), 0, 1000 * seconds + 150 + 50);
            time.Advance(TimeSpan.FromMilliseconds(20));
            seconds += 0.02;
            await Task.Yield();
        }

        await loop;
        Assert.InRange(seconds, 9.8, double.MaxValue);
    }

    [Fact]
    public async Task A_limit_that_is_lifted_lets_those_who_wait_go_on()
    {
        var time = new FakeTimeProvider();
        using var bucket = new TokenBucket(time, 10);
        var flow = new WeightedFlow(() => 1);
        Assert.True(bucket.TakeAsync(0, flow, CancellationToken.None) is { IsCompleted: false } || bucket.BytesPerSecond == 10);
        Task waits = bucket.TakeAsync(1_000_000, flow, CancellationToken.None).AsTask();
        Task waitsLonger = bucket.TakeAsync(1_000_000, flow, CancellationToken.None).AsTask();
        Assert.False(waitsLonger.IsCompleted);
        bucket.BytesPerSecond = 0;
        await waits;
        await waitsLonger;
        Assert.True(bucket.TakeAsync(1_000_000, flow, CancellationToken.None).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_cancelled_wait_costs_nothing()
    {
        var time = new FakeTimeProvider();
        using var bucket = new TokenBucket(time, 1000);
        var flow = new WeightedFlow(() => 1);
        time.Advance(TimeSpan.FromSeconds(1));
        await bucket.TakeAsync(1000, flow, CancellationToken.None);
        using var cancel = new CancellationTokenSource();
        Task given = bucket.TakeAsync(1_000_000, flow, cancel.Token).AsTask();
        Task next = bucket.TakeAsync(10, flow, CancellationToken.None).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        for (int i = 0; i < 100 && !next.IsCompleted; i++) time.Advance(TimeSpan.FromMilliseconds(20));
        await next;
    }

    [Fact]
    public async Task Flows_share_a_limit_by_their_weights()
    {
        var time = new FakeTimeProvider();
        using var bucket = new TokenBucket(time, 1000);
        var heavy = new WeightedFlow(() => 3);
        var light = new WeightedFlow(() => 1);
        var order = new List<WeightedFlow>();
        var waits = new List<Task>();
        // All at once: who is served in which order is the bucket's choice.
        for (int i = 0; i < 40; i++)
        {
            foreach (WeightedFlow flow in new[] { light, heavy })
                waits.Add(Note(bucket.TakeAsync(100, flow, CancellationToken.None).AsTask(), flow));
        }

        while (order.Count < 40)
        {
            time.Advance(TimeSpan.FromMilliseconds(50));
            await Task.Yield();
        }

        int ofHeavy;
        lock (order) ofHeavy = order.Take(40).Count(flow => flow == heavy);
        Assert.InRange(ofHeavy, 27, 33);
        bucket.BytesPerSecond = 0;
        await Task.WhenAll(waits);

        async Task Note(Task taken, WeightedFlow flow)
        {
            await taken;
            lock (order) order.Add(flow);
        }
    }

    [Theory]
    [InlineData(4, 1, 4, 4, 1)]
    [InlineData(4, 4, 4, 4, 1)]
    [InlineData(4, 2, 16, 4, 4)]
    [InlineData(1, 1, 4, 4, 1)]
    public async Task Transfers_share_by_their_weights_whatever_the_number_of_their_lanes(
        int lanesOfA, int lanesOfB, int weightOfA, int weightOfB, double ratio)
    {
        var time = new FakeTimeProvider();
        using var share = new FairShare(time);
        var a = new WeightedFlow(() => weightOfA);
        var b = new WeightedFlow(() => weightOfB);
        int[] served = new int[2];
        // Everybody always wants; a chunk takes 10 ms.
        var lanes = new List<(FairShare.Turn Turn, int Owner, Task Granted)>();
        for (int i = 0; i < lanesOfA; i++) Add(share.AddLane(a, 0), 0);
        for (int i = 0; i < lanesOfB; i++) Add(share.AddLane(b, 0), 1);
        for (int round = 0; round < 400; round++)
        {
            List<int> writing = [];
            while (writing.Count < 2)
            {
                await Task.Yield();
                writing = [.. Enumerable.Range(0, lanes.Count).Where(i => lanes[i].Granted.IsCompleted)];
            }

            // The first transfer's lanes began before there was another.
            Assert.InRange(writing.Count, 2, round == 0 ? 8 : 2);
            time.Advance(TimeSpan.FromMilliseconds(10));
            foreach (int i in writing)
            {
                served[lanes[i].Owner]++;
                lanes[i] = lanes[i] with { Granted = lanes[i].Turn.EnterAsync(1000, CancellationToken.None).AsTask() };
            }
        }

        // With one lane each, a place is never short: then both write all the time.
        Assert.InRange(served[0] / (double)served[1] / ratio, 0.85, 1.15);

        void Add(FairShare.Turn turn, int owner) => lanes.Add((turn, owner, turn.EnterAsync(1000, CancellationToken.None).AsTask()));
    }

    [Fact]
    public async Task A_transfer_whose_receiver_stands_still_holds_nobody_up()
    {
        var time = new FakeTimeProvider();
        using var share = new FairShare(time);
        var standing = new WeightedFlow(() => 1);
        using FairShare.Turn stuck = share.AddLane(standing, 0), stuckToo = share.AddLane(standing, 0);
        using FairShare.Turn other = share.AddLane(new WeightedFlow(() => 1), 0);
        await stuck.EnterAsync(1000, CancellationToken.None);
        await stuckToo.EnterAsync(1000, CancellationToken.None);
        Task waits = other.EnterAsync(1000, CancellationToken.None).AsTask();
        Assert.False(waits.IsCompleted);
        for (int i = 0; i < 5; i++) time.Advance(TimeSpan.FromMilliseconds(25));
        await waits;
        other.Exit();
        await other.EnterAsync(1000, CancellationToken.None);
    }

    [Fact]
    public async Task A_lane_that_goes_while_it_waits_leaves_its_place_to_the_next()
    {
        var time = new FakeTimeProvider();
        using var share = new FairShare(time);
        FairShare.Turn first = share.AddLane(new WeightedFlow(() => 1), 0), second = share.AddLane(new WeightedFlow(() => 1), 0),
            third = share.AddLane(new WeightedFlow(() => 1), 0), fourth = share.AddLane(new WeightedFlow(() => 1), 0);
        await first.EnterAsync(1, CancellationToken.None);
        await fourth.EnterAsync(1, CancellationToken.None);
        using var cancel = new CancellationTokenSource();
        Task leaves = second.EnterAsync(1, cancel.Token).AsTask();
        Task stays = third.EnterAsync(1, CancellationToken.None).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaves);
        second.Dispose();
        first.Exit();
        await stays;
    }

    [Fact]
    public async Task Budget_grants_each_wait_once_and_loses_no_byte_while_others_give_up()
    {
        var budget = new MemoryBudget(8);
        long taken = 0;
        int granted = 0, cancelled = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(
            async () =>
            {
                var random = new Random(seed);
                for (int i = 0; i < 2000; i++)
                {
                    using var impatience = new CancellationTokenSource();
                    int bytes = random.Next(1, 5);
                    ValueTask wait = budget.TakeAsync(bytes, impatience.Token);
                    // half of them while somebody else may be granting
                    if (random.Next(2) == 0) impatience.Cancel();
                    try
                    {
                        await wait;
                    }
                    catch (OperationCanceledException e)
                    {
                        Assert.Equal(impatience.Token, e.CancellationToken);
                        Interlocked.Increment(ref cancelled);
                        continue;
                    }

                    Assert.InRange(Interlocked.Add(ref taken, bytes), bytes, 8);
                    await Task.Yield();
                    Interlocked.Add(ref taken, -bytes);
                    budget.Release(bytes);
                    Interlocked.Increment(ref granted);
                }
            },
            TestContext.Current.CancellationToken)));
        Assert.Equal(0, budget.Used);
        Assert.Equal(8 * 2000, granted + cancelled);
        Assert.True(granted > 0);
        Assert.True(budget.TakeAsync(8, CancellationToken.None).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_memory_budget_is_never_exceeded_and_grants_a_larger_wish_alone()
    {
        var budget = new MemoryBudget(10);
        await budget.TakeAsync(6, CancellationToken.None);
        Task large = budget.TakeAsync(50, CancellationToken.None).AsTask();
        using var cancel = new CancellationTokenSource();
        Task leaves = budget.TakeAsync(7, cancel.Token).AsTask();
        Task small = budget.TakeAsync(4, CancellationToken.None).AsTask();
        Assert.False(small.IsCompleted); // in the order of coming
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaves);
        budget.Release(6);
        await large;
        Assert.Equal(50, budget.Used);
        Assert.False(small.IsCompleted);
        budget.Release(50);
        await small;
        Assert.Equal(4, budget.Used);
    }

    [Fact]
    public async Task Transfers_share_a_node_s_memory_in_equal_parts_and_one_that_stands_still_holds_only_its_own()
    {
        var node = new NodeMemory(100);
        node.Join();
        MemoryBudget still = new(80, node), other = new(80, node);
        await still.TakeAsync(80, CancellationToken.None);
        node.Join();
        Task more = still.TakeAsync(1, CancellationToken.None).AsTask();
        Assert.False(more.IsCompleted);
        await other.TakeAsync(50, CancellationToken.None);
        Task beyond = other.TakeAsync(10, CancellationToken.None).AsTask();
        Assert.False(beyond.IsCompleted); // its own limit allows it, its part does not

        other.Release(10);
        await beyond;
        still.Release(25);
        Assert.False(more.IsCompleted); // 55 of 50
        still.Release(6);
        await more;

        node.Leave();
        await still.TakeAsync(30, CancellationToken.None);
        Assert.Equal(80, still.Used);
    }

    [Fact]
    public async Task However_many_there_are_each_may_hold_one_chunk()
    {
        var node = new NodeMemory(100);
        for (int i = 0; i < 1000; i++) node.Join();
        var budget = new MemoryBudget(80, node);
        await budget.TakeAsync(70, CancellationToken.None);
        Task second = budget.TakeAsync(1, CancellationToken.None).AsTask();
        Assert.False(second.IsCompleted);
        budget.Release(70);
        await second;
    }

    [Fact]
    public void What_was_sent_is_remembered_until_it_is_confirmed()
    {
        var sent = new SentChunks();
        for (int i = 0; i < 5; i++) sent.Add(new SentChunk(1, i, 10));
        Assert.True(sent.Confirm(2));
        Assert.True(sent.Confirm(2));
        Assert.False(sent.Confirm(1));
        Assert.False(sent.Confirm(6));
        Assert.Equal([2L, 3L, 4L], sent.TakeOpen().Select(chunk => chunk.Index));
        Assert.Equal(0, sent.Open);
    }

    [Fact]
    public async Task A_closed_gate_lets_nobody_through_until_it_opens()
    {
        var gate = new PauseGate();
        Assert.True(gate.PassAsync(CancellationToken.None).IsCompletedSuccessfully);
        Assert.True(gate.Close());
        Assert.False(gate.Close());
        Task waits = gate.PassAsync(CancellationToken.None).AsTask();
        Assert.False(waits.IsCompleted);
        Assert.True(gate.Open());
        await waits;
        Assert.False(gate.Open());
    }

    [Theory]
    [InlineData(0.1, 0, false)]
    [InlineData(0.1, 0.01, true)]
    [InlineData(20, 0, true)]
    public void Bulk_control_is_for_far_and_lossy_paths(double milliseconds, double repeated, bool wanted) =>
        Assert.Equal(wanted, PathTuning.WantsBulkControl(TimeSpan.FromMilliseconds(milliseconds), repeated));
}
