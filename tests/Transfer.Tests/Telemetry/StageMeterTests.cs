using FastShare.Transfer.Scheduling;
using FastShare.Transport.Telemetry;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Telemetry;

public sealed class StageMeterTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly StageMeter _meter;

    public StageMeterTests() => _meter = new StageMeter(_time);

    [Fact]
    public void Times_and_bytes_add_up_over_loops_those_that_ended_included()
    {
        StageMeter.Clock first = _meter.Start();
        using StageMeter.Clock second = _meter.Start();
        first.Enter(TransferStage.Reading);
        first.Count(100);
        Pass(1);
        second.Enter(TransferStage.Reading);
        second.Count(10);
        Pass(2);
        first.Enter(TransferStage.Hashing);
        first.Count(100);
        Pass(4);
        first.Dispose();
        Pass(8);
        Assert.Equal(Total(TransferStage.Reading, 1 + 2 + 2 + 4 + 8, 110), _meter.Total(TransferStage.Reading));
        Assert.Equal(Total(TransferStage.Hashing, 4, 100), _meter.Total(TransferStage.Hashing));
        Assert.Equal(Total(TransferStage.Sending, 0, 0), _meter.Total(TransferStage.Sending));
    }

    [Fact]
    public void The_times_of_a_loop_are_its_life()
    {
        using StageMeter.Clock clock = _meter.Start();
        TransferStage[] order = [TransferStage.Reading, TransferStage.Hashing, TransferStage.WaitingForStreams, TransferStage.Reading];
        for (int i = 0; i < order.Length; i++)
        {
            clock.Enter(order[i]);
            Pass(1 << i);
        }

        double sum = Enum.GetValues<TransferStage>().Take(StageMeter.Stages).Sum(stage => _meter[stage].TotalSeconds);
        Assert.Equal(15, sum);
        Assert.Equal(TimeSpan.FromSeconds(1 + 8), _meter[TransferStage.Reading]);
    }

    [Fact]
    public void Entering_the_stage_it_is_in_changes_nothing_and_a_loop_that_ended_counts_once()
    {
        StageMeter.Clock clock = _meter.Start();
        clock.Enter(TransferStage.Storing);
        Pass(1);
        clock.Enter(TransferStage.Storing);
        Pass(1);
        clock.Dispose();
        clock.Dispose();
        Assert.Equal(TimeSpan.FromSeconds(2), _meter[TransferStage.Storing]);
    }

    [Fact]
    public void What_no_loop_does_is_measured_by_itself()
    {
        using (_meter.Measure(TransferStage.Syncing)) Pass(3);
        using (_meter.Measure(TransferStage.Syncing)) Pass(4);
        Assert.Equal(TimeSpan.FromSeconds(7), _meter[TransferStage.Syncing]);
    }

    [Fact]
    public void Of_a_connection_counts_what_happens_while_it_carries_the_transfer()
    {
        var wire = new WireMeter();
        var connection = new ConnectionCounters(_time);
        // Idle since long ago.
        connection.BeginWait(ConnectionStage.ReceiveWait);
        Pass(600);
        Seal(connection, 1, 1000);
        wire.Track(connection);
        wire.Track(connection);
        wire.Track(null);
        Pass(5);
        connection.EndWait(ConnectionStage.ReceiveWait);
        Seal(connection, 2, 50_000);
        var other = new ConnectionCounters(_time);
        wire.Track(other);
        Seal(other, 3, 60_000);
        AssertSums();
        wire.Stop();
        Seal(connection, 9, 70_000);
        AssertSums();

        void AssertSums()
        {
            Assert.Contains(Total(TransferStage.Sealing, 2 + 3, 110_000), wire.Totals());
            Assert.Contains(Total(TransferStage.WaitingForBytes, 5, 0), wire.Totals());
            Assert.Contains(Total(TransferStage.WaitingForWindow, 0, 0), wire.Totals());
        }
    }

    private static StageTotal Total(TransferStage stage, double seconds, long bytes) => new(stage, TimeSpan.FromSeconds(seconds), bytes);

    private void Seal(ConnectionCounters connection, int seconds, int bytes)
    {
        long start = connection.Begin(ConnectionCounters.BulkBytes);
        Pass(seconds);
        connection.Add(ConnectionStage.Seal, start, bytes);
    }

    private void Pass(int seconds) => _time.Advance(TimeSpan.FromSeconds(seconds));
}
