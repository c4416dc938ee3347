using System.Globalization;
using System.Text;

namespace FastShare.Transport.Identity;

/// <summary>Makes text that came from a peer safe to show in a terminal, a log or a message.</summary>
public static class PeerText
{
    /// <summary>
    /// Escapes control, format (bidirectional overrides among them), surrogate and private-use characters as
    /// <c>\u{X}</c>, and shortens in the middle what is longer than <paramref name="maxLength"/> UTF-16 units.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxLength"/> is less than 1.</exception>
    public static string Escape(string text, int maxLength = 200)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        string all = IsPlain(text) ? text : EscapeAll(text);
        if (all.Length <= maxLength) return all;
        int head = (maxLength - 1) / 2, tail = all.Length - (maxLength - 1 - head);
        // A pair of surrogates is one character: leave out the half that would stand alone.
        if (head > 0 && char.IsHighSurrogate(all[head - 1])) head--;
        if (tail < all.Length && char.IsLowSurrogate(all[tail])) tail++;
        return string.Concat(all.AsSpan(0, head), "…", all.AsSpan(tail));
    }

    /// <summary>Whether <see cref="Escape"/> would leave every character of <paramref name="text"/> as it is.</summary>
    internal static bool IsPlain(ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(text, out Rune rune, out int units) != System.Buffers.OperationStatus.Done || !IsPlain(rune)) return false;
            text = text[units..];
        }

        return true;
    }

    private static bool IsPlain(Rune rune) => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.OtherNotAssigned);

    private static string EscapeAll(string text)
    {
        var escaped = new StringBuilder(text.Length);
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            bool whole = Rune.DecodeFromUtf16(rest, out Rune rune, out int units) == System.Buffers.OperationStatus.Done;
            if (whole && IsPlain(rune)) escaped.Append(rest[..units]);
            else escaped.Append(CultureInfo.InvariantCulture, $"\\u{{{(whole ? rune.Value : rest[0]):X}}}");
            rest = rest[units..];
        }

        return escaped.ToString();
    }
}
