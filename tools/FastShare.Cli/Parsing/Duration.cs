using System.Globalization;

namespace FastShare.Cli.Parsing;

/// <summary>Spans of time as people write and read them.</summary>
internal static class Duration
{
    /// <summary>A month: longer waits are typing errors, and timers end near 49 days.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromDays(31);

    /// <summary>
    /// Parses <c>30s</c>, <c>2m</c>, <c>1m30s</c>, <c>500ms</c>, <c>1.5h</c>, <c>1d</c> and a bare number of seconds;
    /// up to <see cref="Limit"/>.
    /// </summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        ReadOnlySpan<char> rest = text.AsSpan().Trim();
        if (rest.IsEmpty) return false;
        decimal seconds = 0, smallestUnit = decimal.MaxValue;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept("0123456789.");
            if (digits < 0) digits = rest.Length;
            const NumberStyles Style = NumberStyles.AllowDecimalPoint;
            if (!decimal.TryParse(rest[..digits], Style, CultureInfo.InvariantCulture, out decimal number)) return false;
            rest = rest[digits..];
            int letters = rest.IndexOfAny("0123456789.");
            if (letters < 0) letters = rest.Length;
            decimal unit = rest[..letters] switch
            {
                "ms" => 0.001m,
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86400,
                // a bare number counts seconds, but only alone: "1m30" is a slip
                "" when smallestUnit == decimal.MaxValue => 1,
                _ => 0,
            };
            // falling units only: "30s1m" and "1m1m" are slips
            if (unit == 0 || unit >= smallestUnit || number > (decimal)Limit.TotalSeconds / unit) return false;
            smallestUnit = unit;
            seconds += number * unit;
            rest = rest[letters..];
        }

        if (seconds > (decimal)Limit.TotalSeconds) return false;
        duration = TimeSpan.FromTicks((long)(seconds * TimeSpan.TicksPerSecond));
        return true;
    }

    /// <summary>Such as <c>0.4 s</c>, <c>12 s</c>, <c>3:07</c>, <c>1:02:03</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        double seconds = Math.Max(0, duration.TotalSeconds);
        if (seconds < 9.95) return string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s");
        if (seconds < 59.5) return string.Create(CultureInfo.InvariantCulture, $"{seconds:0} s");
        long whole = (long)Math.Round(Math.Min(seconds, 359_999_999));
        return whole < 3600
            ? string.Create(CultureInfo.InvariantCulture, $"{whole / 60}:{whole % 60:00}")
            : string.Create(CultureInfo.InvariantCulture, $"{whole / 3600}:{whole / 60 % 60:00}:{whole % 60:00}");
    }

    /// <summary>Such as <c>0.42 ms</c> or <c>137 ms</c>: round-trip times.</summary>
    public static string FormatMilliseconds(TimeSpan duration)
    {
        double milliseconds = duration.TotalMilliseconds;
        string format = milliseconds >= 99.95 ? "0" : milliseconds >= 9.995 ? "0.0" : milliseconds >= 0.9995 ? "0.00" : "0.000";
        return milliseconds.ToString(format, CultureInfo.InvariantCulture) + " ms";
    }
}
