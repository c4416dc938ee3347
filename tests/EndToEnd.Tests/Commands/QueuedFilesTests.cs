using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>The sample of the original report, on the loopback interface.</summary>
public sealed class QueuedFilesTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Files_queued_at_the_moment_of_discovery_share_a_dial_fail_with_causes_and_arrive_by_retry()
    {
        await using FastShareProcess sample = FastShareProcess.StartProgram(_folder, FastShareProcess.QueuedFiles);
        Assert.True(await sample.WaitForExitAsync() == 0, sample.ToString());
        Assert.Contains("   5 of 5 arrived, over 1 dial and 1 connection", sample.Lines);
        Assert.Equal(10, sample.Lines.Count(line => line.EndsWith("arrived; its SHA-256 is right", StringComparison.Ordinal)));
        Assert.Equal(5, sample.Lines.Count(line => line.EndsWith("failed (DialFailure) while Dialing", StringComparison.Ordinal)));
        Assert.True(sample.Lines.Count(line => line.StartsWith("      tried /ip4/127.0.0.1/tcp/", StringComparison.Ordinal)) >= 5, sample.ToString());
        Assert.DoesNotContain(sample.Lines, line => line.StartsWith("   NO:", StringComparison.Ordinal));
        Assert.Equal("Everything was as promised.", sample.Lines[^1]);
    }

    [Fact]
    public async Task Says_how_it_is_used()
    {
        await using FastShareProcess sample = FastShareProcess.StartProgram(_folder, FastShareProcess.QueuedFiles, "send");
        Assert.Equal(2, await sample.WaitForExitAsync());
        Assert.StartsWith("usage: queued-files", sample.Errors, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();
}
