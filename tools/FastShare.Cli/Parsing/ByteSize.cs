using System.Globalization;

namespace FastShare.Cli.Parsing;

/// <summary>
/// Amounts of bytes as people write and read them. <c>kB MB GB TB</c> are powers of 1000, <c>KiB MiB GiB TiB</c> and the
/// bare letters <c>K M G T</c> powers of 1024.
/// </summary>
internal static class ByteSize
{
    private static readonly (string Suffix, long Factor)[] _units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1000), ("MB", 1000_000), ("GB", 1000_000_000), ("TB", 1000_000_000_000),
        ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("T", 1L << 40), ("B", 1),
    ];

    /// <summary>Parses <c>512</c>, <c>64KiB</c>, <c>1.5 GB</c>: not negative, not above <see cref="long.MaxValue"/>.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        ReadOnlySpan<char> number = text.AsSpan().Trim();
        long factor = 1;
        foreach ((string suffix, long unit) in _units)
        {
            if (!number.EndsWith(suffix, StringComparison.OrdinalIgnoreCase)) continue;
            number = number[..^suffix.Length].TrimEnd();
            factor = unit;
            break;
        }

        bytes = 0;
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value)
            || value > long.MaxValue / (decimal)factor) return false;
        bytes = (long)(value * factor);
        return true;
    }

    /// <summary>Such as <c>1.50 GiB</c>.</summary>
    public static string Format(long bytes) => Scale(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);

    /// <summary>Such as <c>812 MB/s</c>: rates are decimal, as networks count.</summary>
    public static string FormatRate(double bytesPerSecond) =>
        Scale(
            double.IsFinite(bytesPerSecond) ? Math.Max(0, bytesPerSecond) : 0, 1000,
            ["B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s"]);

    /// <summary>Such as <c>120 MB/s (960 Mbit/s)</c>: for comparing with what a network is said to have.</summary>
    public static string FormatRateInBits(double bytesPerSecond) =>
        $"{FormatRate(bytesPerSecond)} ({Scale(
            double.IsFinite(bytesPerSecond) ? Math.Max(0, 8 * bytesPerSecond) : 0, 1000,
            ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"])})";

    // Three significant digits, whole numbers for the smallest unit.
    private static string Scale(double value, double factor, ReadOnlySpan<string> units)
    {
        int unit = 0;
        // 999.5 would round to 1000 of the smaller unit
        while (value >= factor - 0.5 && unit < units.Length - 1)
        {
            value /= factor;
            unit++;
        }

        string format = unit == 0 || value >= 99.95 ? "0" : value >= 9.995 ? "0.0" : "0.00";
        return $"{value.ToString(format, CultureInfo.InvariantCulture)} {units[unit]}";
    }
}
