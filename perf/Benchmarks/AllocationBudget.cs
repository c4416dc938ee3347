using System.Globalization;
using System.Text.Json;

namespace FastShare.Benchmarks;

/// <summary>
/// Compares what every benchmark's body allocates with what <c>allocation-budget.json</c> allows it. No time is taken, so that a busy
/// machine tells the same as an idle one. Every benchmark has a line, and every line a benchmark.
/// </summary>
internal static class AllocationBudget
{
    private const string File = "allocation-budget.json";

    /// <summary>Returns the exit code: 0 if all keep within their budget.</summary>
    public static async Task<int> CheckAsync()
    {
        string path = Path.Combine(AppContext.BaseDirectory, File);
        Dictionary<string, long> budget = JsonSerializer.Deserialize<Dictionary<string, long>>(System.IO.File.ReadAllText(path))!;
        int faults = 0;
        foreach (BenchmarkBody body in BenchmarkBody.All().OrderBy(body => body.Name, StringComparer.Ordinal))
        {
            double bytes = await body.AllocatedPerOperationAsync();
            // Fractions of a byte: something that grew once, not something that each operation does.
            long each = (long)bytes;
            string verdict;
            if (!budget.Remove(body.Name, out long allowed)) verdict = $"has no line in {File}";
            else if (each > allowed) verdict = string.Create(CultureInfo.InvariantCulture, $"exceeds its budget of {allowed}");
            else verdict = "";
            if (verdict.Length > 0) faults++;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{body.Name}: {each} B {verdict}").TrimEnd());
        }

        foreach (string name in budget.Keys)
        {
            faults++;
            Console.WriteLine($"{name}: has a line in {File}, but there is no such benchmark");
        }

        Console.WriteLine(faults == 0 ? "every benchmark keeps within its allocation budget" : $"{faults} lines above are wrong");
        return faults == 0 ? 0 : 1;
    }
}
