using System.Text.Json;
using FastShare.Testing;

namespace FastShare.SideBySide.Tests;

/// <summary>The real runner with little to move: rows of this repository's own, and an iperf3 that does what the test wants.</summary>
public sealed class RunnerTests : IDisposable
{
    private const string Iperf = "iperf3, one stream (plaintext)", Ssl = "SslStream, TLS 1.3", Plain = "limit: socket (plaintext)";

    // As a server it says that it listens and waits; as a client it does what stands there. Both leave their process ids.
    private const string Server = "case $1 in -s) echo $$ >> pids; echo listening; exec sleep 1000 ;; esac\n";

    private const string Told = "echo '{\"end\":{\"sum_received\":{\"bits_per_second\":8e9}}}'\n";

    private readonly TemporaryFolder _folder = new();

    public RunnerTests()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("its tools are those of Unix");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_tiny_run_measures_and_writes_everything()
    {
        using RunnerProcess runner = Start("--only", Ssl, "--only", Plain, "--history", "h.jsonl", "--report", "r.html", "--rounds", "2");
        await runner.WaitAsync();
        Assert.True(runner.ExitCode == 0, runner.Output);
        Assert.Contains($"| {Ssl} | ", runner.Output, StringComparison.Ordinal);

        using JsonDocument results = Results();
        JsonElement root = results.RootElement;
        Assert.Equal((2, false), (root.GetProperty("rounds").GetInt32(), root.GetProperty("interrupted").GetBoolean()));
        Assert.Empty(root.GetProperty("failed").EnumerateArray());
        Assert.NotEqual("", root.GetProperty("machine").GetProperty("processor").GetString());
        JsonElement scenario = Assert.Single(root.GetProperty("scenarios").EnumerateArray());
        Assert.Equal((4L << 20), scenario.GetProperty("bytes").GetInt64());
        Assert.Equal([Plain, Ssl], scenario.GetProperty("rows").EnumerateArray().Select(row => row.GetProperty("name").GetString()).ToHashSet());
        Assert.All(scenario.GetProperty("rows").EnumerateArray(), row =>
        {
            Assert.Equal(2, row.GetProperty("samples").GetArrayLength());
            Assert.All(row.GetProperty("samples").EnumerateArray(), sample => Assert.True(sample.GetProperty("seconds").GetDouble() > 0));
            if (OperatingSystem.IsLinux())
                Assert.All(row.GetProperty("samples").EnumerateArray(), sample => Assert.True(sample.GetProperty("cpuSeconds").GetDouble() > 0));
        });
        Assert.Contains(Ssl, File.ReadAllText(_folder.File("r.html")), StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("h.jsonl"))); // without FastShare's rows there is nothing to compare
        Assert.Empty(Directory.GetDirectories(_folder.Path));
    }

    [Fact]
    public async Task The_limit_program_serves_one_and_many_receivers_to_the_last_byte()
    {
        using RunnerProcess runner = Start("--only", "limit: AEGIS-128L and socket, ", "--rounds", "1");
        await runner.WaitAsync();
        Assert.True(runner.ExitCode == 0, runner.Output); // each record was opened, and as many bytes came as were asked for
        using JsonDocument results = Results();
        Assert.Empty(results.RootElement.GetProperty("failed").EnumerateArray());
        JsonElement scenario = Assert.Single(results.RootElement.GetProperty("scenarios").EnumerateArray());
        JsonElement[] rows = [.. scenario.GetProperty("rows").EnumerateArray()];
        Assert.Equal(
            ["limit: AEGIS-128L and socket, 1 receiver", "limit: AEGIS-128L and socket, 64 receivers", "limit: AEGIS-128L and socket, 8 receivers"],
            rows.Select(row => row.GetProperty("name").GetString()).Order(StringComparer.Ordinal));
        Assert.All(rows, row =>
        {
            JsonElement sample = Assert.Single(row.GetProperty("samples").EnumerateArray());
            Assert.True(sample.GetProperty("seconds").GetDouble() > 0);
            Assert.True(sample.GetProperty("figures").GetProperty("% between receivers").GetDouble() >= 0);
        });
    }

    [Fact]
    public async Task A_row_that_fails_is_told_everywhere_and_the_others_go_on()
    {
        Write(Server + "echo 'no <route> to host' >&2; exit 1\n");
        using RunnerProcess runner = Start("--only", Iperf, "--only", Ssl, "--rounds", "1", "--report", "r.html");
        await runner.WaitAsync();
        Assert.True(runner.ExitCode == 1, runner.Output);
        using JsonDocument results = Results();
        JsonElement failed = Assert.Single(results.RootElement.GetProperty("failed").EnumerateArray());
        Assert.Equal((Iperf, "warm-up"), (failed.GetProperty("row").GetString(), failed.GetProperty("when").GetString()));
        Assert.Contains("no <route> to host", failed.GetProperty("reason").GetString(), StringComparison.Ordinal);
        Assert.Contains($"failed: memory to memory, {Iperf}, warm-up: ", runner.Output, StringComparison.Ordinal);
        Assert.Contains($"| {Ssl} | ", runner.Output, StringComparison.Ordinal);
        string report = File.ReadAllText(_folder.File("r.html"));
        Assert.Contains("no &lt;route&gt; to host", report, StringComparison.Ordinal);
        Assert.DoesNotContain("<route>", report, StringComparison.Ordinal);
        AssertNobodyLeft();
    }

    [Fact]
    public async Task Interrupted_it_ends_its_children_and_writes_what_it_has()
    {
        // The warm-up and the first round end; the second hangs.
        Write(Server + "echo x >> runs; [ $(wc -l < runs) -lt 3 ] || { echo $$ >> pids; touch hangs; exec sleep 1000; }\n" + Told);
        using RunnerProcess runner = Start("--only", Iperf, "--rounds", "3", "--report", "r.html");
        await Eventually.BecomesTrueAsync(() => File.Exists(_folder.File("hangs")), "the second round runs");
        await runner.SignalAsync("INT");
        await runner.WaitAsync();
        Assert.True(runner.ExitCode == 130, runner.Output);
        using JsonDocument results = Results();
        Assert.True(results.RootElement.GetProperty("interrupted").GetBoolean());
        JsonElement row = Assert.Single(Assert.Single(results.RootElement.GetProperty("scenarios").EnumerateArray()).GetProperty("rows").EnumerateArray());
        Assert.Equal(1, row.GetProperty("samples").GetArrayLength());
        Assert.Empty(results.RootElement.GetProperty("failed").EnumerateArray());
        Assert.True(File.Exists(_folder.File("r.html")));
        AssertNobodyLeft();
        Assert.Empty(Directory.GetDirectories(_folder.Path));
    }

    [Fact]
    public async Task Killed_it_leaves_neither_children_nor_files()
    {
        Write(Server + "echo $$ >> pids; touch hangs; exec sleep 1000\n");
        using RunnerProcess runner = Start("--only", Iperf, "--rounds", "1");
        await Eventually.BecomesTrueAsync(() => File.Exists(_folder.File("hangs")), "the first round runs");
        await runner.SignalAsync("KILL");
        await Eventually.BecomesTrueAsync(() => Left().Count == 0, "the children are gone");
        await Eventually.BecomesTrueAsync(() => Directory.GetDirectories(_folder.Path).Length == 0, "the files are gone");
    }

    [Theory]
    [InlineData("--only", "no such row")]
    [InlineData("--rounds", "none")]
    public async Task What_makes_no_sense_is_an_error_of_use(string option, string value)
    {
        using RunnerProcess runner = Start(option, value);
        await runner.WaitAsync();
        Assert.True(runner.ExitCode == 2, runner.Output);
        Assert.Contains("usage:", runner.Output, StringComparison.Ordinal);
    }

    private RunnerProcess Start(params string[] arguments) => RunnerProcess.Start(_folder, [.. arguments, "--scale", "0.001", "--json", "out.json"]);

    private void Write(string script) => RunnerProcess.Write(_folder, "iperf3", script);

    private JsonDocument Results() => JsonDocument.Parse(File.ReadAllText(_folder.File("out.json")));

    private void AssertNobodyLeft() => Assert.Empty(Left());

    // A zombie has ended: whoever is its parent by now has only not asked yet.
    private List<string> Left() => [.. File.ReadAllLines(_folder.File("pids")).Where(id => IsAlive(id))];

    private static bool IsAlive(string id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }
}
