using System.Text.RegularExpressions;
using FastShare.Testing;

namespace FastShare.Transport.Tests;

/// <summary>docs/dialing.md maps promises to tests: what it names is there.</summary>
public sealed partial class PromiseTableTests
{
    [Fact]
    public void Every_test_that_the_table_names_exists()
    {
        string sources = string.Concat(
            Directory.EnumerateFiles(Repository.PathOf("tests"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText));
        string[] named = [.. Names().Matches(Table()).Select(match => match.Groups[1].Value).Distinct()];
        Assert.True(named.Length > 150, $"only {named.Length} tests are named");
        Assert.DoesNotContain(named, name => !sources.Contains($" {name}(", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_number_of_the_list_has_a_row() =>
        Assert.Equal(Enumerable.Range(1, 35), Rows().Matches(Table()).Select(match => int.Parse(match.Groups[1].Value)));

    private static string Table() => File.ReadAllText(Repository.PathOf("docs", "dialing.md"));

    // The names of tests are sentences; a class may stand before one.
    [GeneratedRegex(@"`(?:[\w/…]+\.)?([A-Z][A-Za-z0-9]*_[a-zA-Z0-9_]+)`")]
    private static partial Regex Names();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex Rows();
}
