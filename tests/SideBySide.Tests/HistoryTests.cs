using FastShare.SideBySide.Reporting;

namespace FastShare.SideBySide.Tests;

public sealed class HistoryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string File => _folder.File("history.jsonl");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Each_run_is_a_line_and_two_commits_are_compared_by_their_ratios()
    {
        History.Add(File, Run("aaaa", own: 1, other: 2));
        History.Add(File, Run("bbbb", own: 1, other: 3));
        Assert.Equal(2, System.IO.File.ReadAllLines(File).Length);
        var output = new StringWriter();
        Assert.Equal(0, History.Compare(File, "aa", "bb", output));
        string text = output.ToString();
        Assert.Contains("| s, 953 MiB: other | 2.00 | 3.00 | +50 % |", text, StringComparison.Ordinal);
        Assert.Contains("| s, 953 MiB: fastshare | 1.00 | 1.00 | 0 % |", text, StringComparison.Ordinal);
        Assert.Contains("Test processor", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Two machines", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_last_run_of_a_commit_counts()
    {
        History.Add(File, Run("aaaa", own: 1, other: 9));
        History.Add(File, Run("aaaa", own: 1, other: 2));
        History.Add(File, Run("bbbb", own: 1, other: 2));
        var output = new StringWriter();
        Assert.Equal(0, History.Compare(File, "aaaa", "bbbb", output));
        Assert.Contains("| s, 953 MiB: other | 2.00 | 2.00 | 0 % |", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_row_that_only_one_of_them_has_is_told_without_a_change()
    {
        History.Add(File, Run("aaaa", own: 1, other: 2));
        History.Add(File, Figures.Results(Figures.Scenario("s", Figures.Reference("fastshare", 1))) with { Commit = "bbbb" });
        var output = new StringWriter();
        Assert.Equal(0, History.Compare(File, "aaaa", "bbbb", output));
        Assert.Contains("| s, 953 MiB: other | 2.00 |  |  |", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_machines_are_told()
    {
        History.Add(File, Run("aaaa", own: 1, other: 2));
        History.Add(File, Run("bbbb", own: 1, other: 2) with { Machine = Figures.Machine with { Cores = 64 } });
        var output = new StringWriter();
        Assert.Equal(0, History.Compare(File, "aaaa", "bbbb", output));
        Assert.Contains("Two machines", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_commit_or_file_is_an_error_of_use()
    {
        Assert.Equal(2, History.Compare(File, "aaaa", "bbbb", TextWriter.Null));
        History.Add(File, Run("aaaa", own: 1, other: 2));
        Assert.Equal(2, History.Compare(File, "aaaa", "cccc", TextWriter.Null));
    }

    [Fact]
    public void A_run_without_anything_to_compare_leaves_no_line()
    {
        History.Add(File, Figures.Results());
        Assert.False(System.IO.File.Exists(File));
    }

    private static Results Run(string commit, double own, double other) =>
        Figures.Results(Figures.Scenario("s", Figures.Reference("fastshare", own), Figures.Row("other", other))) with { Commit = commit };
}
