using System.Collections.Frozen;
using System.Text;

namespace FastShare.Transfer.Planning.Internal;

/// <summary>
/// Reduces a name to what a case- and normalisation-insensitive file system (APFS, HFS+, NTFS, ext4 and f2fs with casefold)
/// compares: canonical decomposition of the full case folding, without ignorable code points (Unicode Standard 3.13, D145,
/// "canonical caseless match"). Two names such a file system takes for one fold alike; a few that only some of them do (ß and ss)
/// fold alike too. Own tables, because the framework's normalisation does nothing in globalization-invariant mode and otherwise
/// depends on the machine's ICU, and both sides have to agree on what is refused.
/// </summary>
internal static partial class NameFolding
{
    /// <summary>Most code points that one UTF-16 unit folds to.</summary>
    public const int MaxExpansion = 4;

    // No segment of a safe path has more marks in a row.
    private const int MostOnStack = SafePath.MaxSegmentBytes * MaxExpansion;

    // Where a mark's class stands while marks are ordered: above the code point.
    private const int ClassShift = 24;
    private const uint CodePoint = (1u << ClassShift) - 1;

    // Immutable after construction: folding key → (offset in Foldings) × 8 + count.
    private static readonly FrozenDictionary<int, int> Index = BuildIndex();

    /// <summary>
    /// Folds <paramref name="text"/> into code points and returns their number. <c>/</c> is left where it is, and no folding
    /// reaches across it.
    /// </summary>
    /// <param name="text">Well-formed UTF-16.</param>
    /// <param name="destination">At least <see cref="MaxExpansion"/> times as long as the text.</param>
    public static int Fold(ReadOnlySpan<char> text, Span<int> destination)
    {
        int count = 0;
        bool marks = false;
        while (!text.IsEmpty)
        {
            char c = text[0];
            if (c < 0x80)
            {
                destination[count++] = c is >= 'A' and <= 'Z' ? c + 32 : c;
                text = text[1..];
                continue;
            }

            Rune.DecodeFromUtf16(text, out Rune rune, out int used);
            text = text[used..];
            int value = rune.Value;
            if (Contains(Ignorables, 2, value, out _)) continue;
            if (value is >= 0xAC00 and < 0xAC00 + 11172)
            {
                // Hangul syllable decomposition, Unicode Standard 3.12
                int s = value - 0xAC00;
                destination[count++] = 0x1100 + s / 588;
                destination[count++] = 0x1161 + s % 588 / 28;
                if (s % 28 != 0) destination[count++] = 0x11A7 + s % 28;
            }
            else if (Index.TryGetValue(value, out int place))
            {
                Foldings.Slice(place >> 3, place & 7).CopyTo(destination[count..]);
                count += place & 7;
            }
            else
            {
                destination[count++] = value;
            }

            marks = true;
        }

        if (marks) Order(destination[..count]);
        return count;
    }

    /// <summary>Canonical ordering: marks after a base are sorted by combining class, stably (Unicode Standard 3.11, D109).</summary>
    private static void Order(Span<int> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            int first = i;
            while (i < text.Length && CombiningClass(text[i]) is > 0 and var own) text[i++] |= own << ClassShift;
            if (i > first) OrderMarks(text[first..i]);
        }
    }

    // By a real sort: a peer may give a name hundreds of marks in the worst order, and so every name of a manifest, for a few bytes each.
    private static void OrderMarks(Span<int> marks)
    {
        Span<ulong> keys = marks.Length <= MostOnStack ? stackalloc ulong[marks.Length] : new ulong[marks.Length];
        // class, then place, then code point
        for (int i = 0; i < marks.Length; i++)
            keys[i] = (ulong)((uint)marks[i] >> ClassShift) << 56 | (ulong)i << 32 | (uint)marks[i] & CodePoint;
        keys.Sort();
        for (int i = 0; i < marks.Length; i++) marks[i] = (int)(uint)keys[i];
    }

    private static int CombiningClass(int value) =>
        value >= 0x300 && Contains(CombiningClasses, 3, value, out int at) ? CombiningClasses[at + 2] : 0;

    /// <summary>Binary search in a table of runs of <paramref name="width"/> numbers that start with first and last.</summary>
    private static bool Contains(ReadOnlySpan<int> runs, int width, int value, out int at)
    {
        int low = 0, high = runs.Length / width - 1;
        while (low <= high)
        {
            int middle = (low + high) >> 1;
            at = middle * width;
            if (value < runs[at]) high = middle - 1;
            else if (value > runs[at + 1]) low = middle + 1;
            else return true;
        }

        at = 0;
        return false;
    }

    private static FrozenDictionary<int, int> BuildIndex()
    {
        var index = new Dictionary<int, int>(Keys.Length);
        int offset = 0;
        foreach (int key in Keys)
        {
            index.Add(key >> 3, offset << 3 | key & 7);
            offset += key & 7;
        }

        return index.ToFrozenDictionary();
    }
}
