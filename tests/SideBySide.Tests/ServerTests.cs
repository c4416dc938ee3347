using System.Globalization;

namespace FastShare.SideBySide.Tests;

public sealed class ServerTests
{
    public ServerTests()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("its programs are those of Unix");
    }

    [Fact]
    public async Task It_starts_when_it_is_needed_and_again_when_it_died()
    {
        int starts = 0;
        await using var server = new Server("sleeper", _ =>
            Task.FromResult((ChildProcess.Start("sleep", "1000"), (++starts).ToString(CultureInfo.InvariantCulture))));
        Assert.Throws<InvalidOperationException>(() => server.Address);
        await server.EnsureAsync(CancellationToken.None);
        await server.EnsureAsync(CancellationToken.None);
        Assert.Equal("1", server.Address);
        await server.Process.InterruptAsync();
        await server.EnsureAsync(CancellationToken.None);
        Assert.Equal("2", server.Address);
    }

    [Fact]
    public async Task A_program_that_ends_before_it_is_ready_tells_what_it_wrote()
    {
        await using var child = ChildProcess.Start("sh", "-c", "echo no such device >&2; exit 3");
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => child.WaitForLineAsync(line => line == "ready", CancellationToken.None));
        Assert.Contains("ended with 3", error.Message, StringComparison.Ordinal);
        Assert.Contains("no such device", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_that_fails_tells_its_code_and_what_it_wrote()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(
            () => ChildProcess.RunAsync("sh", ["-c", "echo half; echo why >&2; exit 4"], CancellationToken.None));
        Assert.StartsWith("sh ended with 4: why", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_program_started_ends_with_it()
    {
        using var folder = new TemporaryFolder();
        string id = folder.File("id");
        await using (var child = ChildProcess.Start("sh", "-c", $"sleep 1000 & echo $! > {id}; echo ready; wait"))
            await child.WaitForLineAsync(line => line == "ready", CancellationToken.None);
        string stat = $"/proc/{(await File.ReadAllTextAsync(id, TestContext.Current.CancellationToken)).Trim()}/stat";
        // ended; whoever is its parent by now may not have asked yet
        await FastShare.Testing.Eventually.BecomesTrueAsync(() => !File.Exists(stat) || ReadState(stat) is 'Z' or 'X', "the grandchild is gone");
    }

    private static char ReadState(string stat)
    {
        try
        {
            string text = File.ReadAllText(stat);
            return text[text.LastIndexOf(')') + 2];
        }
        catch (IOException)
        {
            return 'X';
        }
    }
}
