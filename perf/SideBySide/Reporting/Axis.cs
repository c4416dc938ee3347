using System.Globalization;

namespace FastShare.SideBySide.Reporting;

/// <summary>An axis from zero with ticks at round numbers.</summary>
internal sealed class Axis
{
    private static readonly double[] _steps = [1, 2, 2.5, 5, 10];

    /// <param name="most">The largest value that has to fit; zero or less makes an axis up to 1.</param>
    /// <param name="ticks">About so many ticks beside zero.</param>
    public Axis(double most, int ticks)
    {
        if (!(most > 0) || double.IsInfinity(most)) most = 1;
        double rough = most / ticks, power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        Step = power * _steps.First(step => power * step >= rough * 0.999_999);
        End = Step * Math.Ceiling(most / Step - 1e-9);
    }

    /// <summary>Between two ticks.</summary>
    public double Step { get; }

    /// <summary>The last tick.</summary>
    public double End { get; }

    /// <summary>All ticks, zero included.</summary>
    public IEnumerable<double> Ticks => Enumerable.Range(0, (int)Math.Round(End / Step) + 1).Select(i => i * Step);

    /// <summary>A tick's label.</summary>
    public string Label(double tick) => tick.ToString(Step switch { >= 1 when Step % 1 == 0 => "0", >= 0.1 => "0.##", _ => "0.####" }, CultureInfo.InvariantCulture);
}
