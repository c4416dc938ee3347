using System.CommandLine.Parsing;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Parsing;

/// <summary>Parses one value; on failure says what is wrong with it.</summary>
internal delegate bool ValueParser<T>(string text, [NotNullWhen(true)] out T? value, [NotNullWhen(false)] out string? error);

/// <summary>Parsers of option values, in the form that System.CommandLine takes.</summary>
internal static class Values
{
    public static bool TryParsePeerId(string text, [NotNullWhen(true)] out PeerId? peer, [NotNullWhen(false)] out string? error)
    {
        bool valid = PeerId.TryParse(text, out peer);
        error = valid ? null : $"'{PeerText.Escape(text)}' is not a peer id such as 12D3KooW…";
        return valid;
    }

    /// <summary>An address to listen on.</summary>
    public static bool TryParseListenAddress(
        string text, [NotNullWhen(true)] out Multiaddr? address, [NotNullWhen(false)] out string? error)
    {
        bool valid = Multiaddr.TryParse(text, out address) && !address.EndsInPeerId;
        error = valid ? null : $"'{PeerText.Escape(text)}' is not an address to listen on, such as /ip4/0.0.0.0/tcp/4001";
        return valid;
    }

    /// <summary>The parser of an option that takes one value.</summary>
    public static Func<ArgumentResult, T?> Parse<T>(ValueParser<T> parser) => result =>
    {
        if (parser(result.Tokens[^1].Value, out T? value, out string? error)) return value;
        result.AddError(error);
        return default;
    };

    /// <summary>The parser of an option or argument that takes several.</summary>
    public static Func<ArgumentResult, T[]?> ParseAll<T>(ValueParser<T> parser) => result =>
    {
        var values = new List<T>(result.Tokens.Count);
        foreach (Token token in result.Tokens)
        {
            if (parser(token.Value, out T? value, out string? error)) values.Add(value);
            else result.AddError(error);
        }

        return [.. values];
    };

    /// <summary>Bytes a second: a size, with <c>/s</c> behind it or without.</summary>
    public static long? Rate(ArgumentResult result)
    {
        string text = result.Tokens[^1].Value, size = text.EndsWith("/s", StringComparison.OrdinalIgnoreCase) ? text[..^2] : text;
        if (ByteSize.TryParse(size, out long bytes) && bytes > 0) return bytes;
        result.AddError($"'{PeerText.Escape(text)}' is not a rate such as 100MB/s.");
        return null;
    }

    /// <summary>The name of a congestion control; whether the kernel has it shows when it is used.</summary>
    public static string? CongestionControl(ArgumentResult result)
    {
        string text = result.Tokens[^1].Value;
        try
        {
            return new SendOptions { CongestionControl = text }.CongestionControl;
        }
        catch (ArgumentException)
        {
            result.AddError($"'{PeerText.Escape(text)}' is not the name of a congestion control, such as cubic.");
            return null;
        }
    }

    /// <summary>Amounts of bytes within limits.</summary>
    public static Func<ArgumentResult, long> Bytes(long minimum, long maximum = long.MaxValue) => result =>
    {
        string text = result.Tokens[^1].Value;
        if (!ByteSize.TryParse(text, out long bytes)) result.AddError($"'{PeerText.Escape(text)}' is not a size such as 1GiB or 100MB.");
        else if (bytes < minimum) result.AddError($"'{PeerText.Escape(text)}' is too small: at least {ByteSize.Format(minimum)}.");
        else if (bytes > maximum) result.AddError($"'{PeerText.Escape(text)}' is too large: at most {ByteSize.Format(maximum)}.");
        return bytes;
    };

    /// <summary>Spans of time, not below a minimum.</summary>
    public static Func<ArgumentResult, TimeSpan> Span(TimeSpan minimum) => result =>
    {
        string text = result.Tokens[^1].Value;
        if (!Duration.TryParse(text, out TimeSpan span) || span < minimum)
            result.AddError($"'{PeerText.Escape(text)}' is not a time such as 30s, 2m or 500ms (at most {Duration.Limit.Days} days).");
        return span;
    };

    /// <summary>Whole numbers within limits.</summary>
    public static Func<ArgumentResult, int> Integer(int minimum, int maximum) => result =>
    {
        string text = result.Tokens[^1].Value;
        bool valid = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number >= minimum && number <= maximum;
        if (!valid) result.AddError($"'{PeerText.Escape(text)}' is not a number from {minimum} to {maximum}.");
        return number;
    };

    /// <summary>The value of <c>--mode</c>.</summary>
    public static TransferMode Mode(ArgumentResult result)
    {
        string text = result.Tokens[^1].Value;
        switch (text)
        {
            case "auto": return TransferMode.Auto;
            case "sequential": return TransferMode.Sequential;
            case "parallel": return TransferMode.Parallel;
            default:
                result.AddError($"'{PeerText.Escape(text)}' is not a mode: auto, sequential or parallel.");
                return default;
        }
    }
}
