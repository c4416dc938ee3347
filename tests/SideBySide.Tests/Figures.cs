using FastShare.SideBySide.Reporting;

namespace FastShare.SideBySide.Tests;

/// <summary>Results as a run would have them, with figures that are easy to reckon with.</summary>
internal static class Figures
{
    public const long Gigabyte = 1_000_000_000;

    public static readonly Machine Machine = new("Test processor", 2, 24, "Test system", ".NET", 0.5);

    /// <summary>A row with so many seconds in each round, and as many processor seconds.</summary>
    public static RowResult Row(string name, params double[] seconds) => Row(name, isReference: false, seconds);

    public static RowResult Reference(string name, params double[] seconds) => Row(name, isReference: true, seconds);

    public static RowResult With(this RowResult row, string figure, params double[] values) => row with
    {
        Samples = [.. row.Samples.Zip(values, (sample, value) => sample with
        {
            Figures = new Dictionary<string, double>(sample.Figures) { [figure] = value },
        })],
    };

    /// <summary>A gigabyte from memory to memory.</summary>
    public static ScenarioResult Scenario(string name, params RowResult[] rows) => new(name, Gigabyte, 0, rows);

    public static Results Results(params ScenarioResult[] scenarios) => new(
        "0123456789", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), Machine, 3, Interrupted: false, scenarios, [], [], Goals.Of(scenarios));

    private static RowResult Row(string name, bool isReference, double[] seconds) =>
        new(name, isReference, 1, [.. seconds.Select(taken => new Sample(taken, taken, 10 << 20))]);
}
