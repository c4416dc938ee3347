using System.Globalization;
using System.Text;

namespace FastShare.Transport.Identity;

/// <summary>Makes text that came from a peer safe to show in a terminal, a log or a message.</summary>
public static class PeerText
{
    /// <summary>
    /// Escapes control, format (bidirectional overrides among them), surrogate and private-use characters as
    /// <c>\u{X}</c>, and shortens in the middle what is longer than <paramref name="maxLength"/> characters.
    /// </summary>
    public static string Escape(string text, int maxLength = 200)
    {
        ArgumentNullException.ThrowIfNull(text);
        var escaped = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            bool whole = Rune.TryGetRuneAt(text, i, out Rune rune);
            UnicodeCategory category = whole ? Rune.GetUnicodeCategory(rune) : UnicodeCategory.Surrogate;
            if (category is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.OtherNotAssigned)
            {
                escaped.Append(CultureInfo.InvariantCulture, $"\\u{{{(whole ? rune.Value : text[i]):X}}}");
            }
            else
            {
                escaped.Append(rune.ToString());
            }

            if (whole && rune.Utf16SequenceLength == 2) i++;
        }

        if (escaped.Length <= maxLength) return escaped.ToString();
        int head = (maxLength - 1) / 2, tail = maxLength - 1 - head;
        string all = escaped.ToString();
        return string.Concat(all.AsSpan(0, head), "…", all.AsSpan(all.Length - tail));
    }
}
