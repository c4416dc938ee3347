using FastShare.Testing;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Telemetry;

namespace FastShare.Transfer.Tests.Telemetry;

public sealed class TransferTelemetryTests
{
    private const int Large = 3 << 20, Small = 5_000;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_byte_passes_every_stage_once_and_is_counted_there()
    {
        using var meters = new Meters();
        TransferInstruments instruments = TransferInstruments.For(meters);
        await using var pair = new TransferPair(instruments: instruments);
        pair.AddFile("large", Large);
        pair.AddFile("small", Small);
        Task<Transfer> incoming = pair.IncomingAsync(Token);
        Transfer sending = pair.Send();
        Transfer receiving = await incoming.WaitAsync(Token);
        await sending.Completion.WaitAsync(Token);
        await receiving.Completion.WaitAsync(Token);

        TransferStatistics sent = sending.Statistics, received = receiving.Statistics;
        Assert.Equal(Large + Small, Of(sent, TransferStage.Reading).Bytes);
        Assert.Equal(Large, Of(sent, TransferStage.Hashing).Bytes);
        Assert.Equal(Large + Small, Of(sent, TransferStage.Sending).Bytes);
        Assert.Equal(Large + Small, Of(received, TransferStage.Receiving).Bytes + Of(received, TransferStage.Verifying).Bytes);
        Assert.Equal(Large + Small, Of(received, TransferStage.Storing).Bytes);
        foreach (TransferStage stage in new[] { TransferStage.Reading, TransferStage.Hashing, TransferStage.Sending })
            Assert.True(Of(sent, stage).Time > TimeSpan.Zero, stage.ToString());
        foreach (TransferStage stage in new[] { TransferStage.Storing, TransferStage.Syncing, TransferStage.Publishing })
            Assert.True(Of(received, stage).Time > TimeSpan.Zero, stage.ToString());
        Assert.Equal(sent.Reading, Of(sent, TransferStage.Reading).Time);
        Assert.Equal(TimeSpan.Zero, Of(sent, TransferStage.Storing).Time);

        foreach ((string direction, TransferStage stage, string name) in new[]
        {
            ("outbound", TransferStage.Reading, "reading"), ("outbound", TransferStage.Sending, "sending"),
            ("inbound", TransferStage.Storing, "storing"),
        })
        {
            string[] tags = [$"fastshare.direction={direction}", $"fastshare.transfer.stage={name}"];
            Assert.Equal(Large + Small, meters.Observe("fastshare.transfer.stage.io", tags));
            StageTotal counted = Of(direction == "outbound" ? sent : received, stage);
            Assert.Equal(counted.Time.TotalSeconds, meters.Observe("fastshare.transfer.stage.time", tags), 6);
        }

        foreach (string direction in new[] { "inbound", "outbound" })
        {
            Assert.Equal(Large + Small, meters.Observe("fastshare.transfer.io", $"fastshare.direction={direction}"));
            Assert.Equal(2, meters.Observe("fastshare.transfer.file.delivered", $"fastshare.direction={direction}"));
            Assert.Equal(1, meters.Count("fastshare.transfer.duration", $"fastshare.direction={direction}"));
            Assert.Equal(0, meters.Sum("fastshare.transfer.active", $"fastshare.direction={direction}"));
        }
    }

    [Fact]
    public async Task A_transfer_that_fails_is_counted_by_its_error()
    {
        using var meters = new Meters();
        await using var pair = new TransferPair(
            (_, _) => ValueTask.FromResult(OfferAnswer.Refuse("not today")), instruments: TransferInstruments.For(meters));
        pair.AddFile("file", Small);
        Transfer sending = pair.Send();
        await Assert.ThrowsAsync<TransferException>(() => sending.Completion.WaitAsync(Token));
        Assert.Equal(1, meters.Count("fastshare.transfer.duration", "fastshare.direction=outbound", "error.type=refused"));
        Assert.Equal(0, meters.Sum("fastshare.transfer.active", "fastshare.direction=outbound"));
        Assert.Equal(0, meters.Observe("fastshare.transfer.io"));
    }

    [Fact]
    public void Every_metric_and_stage_is_documented()
    {
        using var meters = new Meters();
        _ = TransferInstruments.For(meters);
        string document = File.ReadAllText(Repository.PathOf("docs", "telemetry.md"));
        Assert.NotEmpty(meters.Names);
        foreach ((string name, string? unit) in meters.Names)
        {
            string row = Assert.Single(document.Split('\n'), line => line.StartsWith($"| `{name}` |", StringComparison.Ordinal));
            Assert.Contains($"`{unit}`", row, StringComparison.Ordinal);
        }

        foreach (TransferStage stage in Enum.GetValues<TransferStage>().Skip(1))
        {
            string name = string.Concat(char.ToLowerInvariant(stage.ToString()[0]).ToString(), stage.ToString().AsSpan(1));
            Assert.Single(document.Split('\n'), line => line.StartsWith($"| `{name}` | `", StringComparison.Ordinal));
        }

        foreach (string stage in TransferInstruments.StageNames) Assert.Contains($"` | `{stage}` | ", document, StringComparison.Ordinal);
    }

    private static StageTotal Of(TransferStatistics statistics, TransferStage stage) =>
        Assert.Single(statistics.Stages, total => total.Stage == stage);
}
