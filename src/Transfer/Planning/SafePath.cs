using System.Globalization;
using System.Text;
using FastShare.Transfer.Planning.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Planning;

/// <summary>Why a path from a manifest is refused.</summary>
internal enum PathRule
{
    /// <summary>It is not refused.</summary>
    Safe,

    /// <summary>The path is empty.</summary>
    Empty,

    /// <summary>Longer than <see cref="SafePath.MaxPathBytes"/>.</summary>
    PathTooLong,

    /// <summary>More than <see cref="SafePath.MaxDepth"/> segments.</summary>
    TooDeep,

    /// <summary>Starts with <c>/</c>, or with a drive letter.</summary>
    Absolute,

    /// <summary>Two separators in a row, or one at the end.</summary>
    EmptySegment,

    /// <summary>A segment is <c>.</c> or <c>..</c>.</summary>
    DotSegment,

    /// <summary>A backslash, which some systems take for a separator.</summary>
    Backslash,

    /// <summary>A control character (NUL among them) or a line or paragraph separator.</summary>
    ControlCharacter,

    /// <summary>Not valid Unicode.</summary>
    NotUnicode,

    /// <summary>A colon, which names a drive or an alternate stream on Windows.</summary>
    Colon,

    /// <summary>A device name of Windows.</summary>
    DeviceName,

    /// <summary>A segment ends with a dot or a space, which Windows drops.</summary>
    TrailingDotOrSpace,

    /// <summary>A segment is longer than <see cref="SafePath.MaxSegmentBytes"/>.</summary>
    SegmentTooLong,

    /// <summary>A segment could be taken for FastShare's own staging folder.</summary>
    StagingName,
}

/// <summary>
/// The rules for names that come from a peer. They are the same on every system, so that what one machine takes another one can
/// take from it. Applied after the last decoding step: nothing may transform a path after it was checked. Pure and thread-safe.
/// </summary>
/// <remarks>
/// Names with bidirectional or other invisible format characters are taken, since scripts and emoji need them;
/// <see cref="IsMisleading"/> flags them, and every output escapes them.
/// </remarks>
internal static class SafePath
{
    /// <summary>Longest path in UTF-8 bytes: Linux's PATH_MAX less the terminating NUL.</summary>
    public const int MaxPathBytes = 4095;

    /// <summary>Longest segment in UTF-8 bytes: NAME_MAX of the usual file systems.</summary>
    public const int MaxSegmentBytes = 255;

    /// <summary>Most segments; bounds recursion and the number of folders one entry can make.</summary>
    public const int MaxDepth = 255;

    /// <summary>What the names of FastShare's staging folders start with. No peer may name anything like it.</summary>
    public const string StagingPrefix = ".fastshare-";

    // The name NTFS gives a staging folder in its 8.3 form starts like this.
    private const string StagingShortName = "FASTSH~";

    // Devices whatever their extension; COM and LPT with a digit are tested apart. Source: Microsoft, "Naming Files, Paths, and
    // Namespaces", and the console's own CONIN$ and CONOUT$.
    private static readonly string[] Devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

    /// <summary>The first rule that <paramref name="path"/> breaks.</summary>
    public static PathRule Check(ReadOnlySpan<char> path)
    {
        if (path.IsEmpty) return PathRule.Empty;
        if (path.Length > MaxPathBytes || Encoding.UTF8.GetByteCount(path) > MaxPathBytes) return PathRule.PathTooLong;
        if (path[0] == '/') return PathRule.Absolute;
        if (path.Length >= 2 && path[1] == ':' && char.IsAsciiLetter(path[0])) return PathRule.Absolute;

        int depth = 0;
        while (true)
        {
            int end = path.IndexOf('/');
            PathRule rule = CheckSegment(end < 0 ? path : path[..end]);
            if (rule != PathRule.Safe) return rule;
            if (++depth > MaxDepth) return PathRule.TooDeep;
            if (end < 0) return PathRule.Safe;
            path = path[(end + 1)..];
        }
    }

    /// <summary>Takes a safe path, throws for any other.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.UnsafeName"/>.</exception>
    public static void Validate(string path)
    {
        PathRule rule = Check(path);
        if (rule != PathRule.Safe) throw Unsafe(path, Describe(rule));
    }

    /// <summary>
    /// The rule that a symbolic link at <paramref name="path"/> breaks by pointing to <paramref name="target"/>; null if none. A
    /// target is relative, goes up only at its start and not above the destination, so that it cannot leave the tree whatever other
    /// links of the same manifest it passes through.
    /// </summary>
    public static string? CheckLinkTarget(ReadOnlySpan<char> path, ReadOnlySpan<char> target)
    {
        int ups = path.Count('/');
        ReadOnlySpan<char> rest = target;
        while (rest.StartsWith("..") && (rest.Length == 2 || rest[2] == '/'))
        {
            if (--ups < 0) return "the link points out of the destination";
            if (rest.Length == 2) return null;
            rest = rest[3..];
        }

        PathRule rule = Check(rest);
        return rule == PathRule.Safe ? null : $"in the link's target, {Describe(rule)}";
    }

    /// <summary>Whether a segment starts with a dot: taken, but worth a second look before consent.</summary>
    public static bool IsHidden(ReadOnlySpan<char> path) => path.StartsWith(".") || path.IndexOf("/.") >= 0;

    /// <summary>Whether the path has characters that a terminal may show as something else: invisible or bidirectional ones.</summary>
    public static bool IsMisleading(ReadOnlySpan<char> path)
    {
        if (Ascii.IsValid(path)) return false;
        foreach (Rune rune in path.EnumerateRunes())
        {
            if (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Format or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>What a rule says, for messages.</summary>
    public static string Describe(PathRule rule) => rule switch
    {
        PathRule.Empty => "the path is empty",
        PathRule.PathTooLong => $"the path is longer than {MaxPathBytes} bytes",
        PathRule.TooDeep => $"the path has more than {MaxDepth} segments",
        PathRule.Absolute => "the path is absolute",
        PathRule.EmptySegment => "a segment is empty",
        PathRule.DotSegment => "a segment is “.” or “..”",
        PathRule.Backslash => "it contains a backslash",
        PathRule.ControlCharacter => "it contains a control character",
        PathRule.NotUnicode => "it is not valid Unicode",
        PathRule.Colon => "it contains a colon",
        PathRule.DeviceName => "a segment is the name of a Windows device",
        PathRule.TrailingDotOrSpace => "a segment ends with a dot or a space",
        PathRule.SegmentTooLong => $"a segment is longer than {MaxSegmentBytes} bytes",
        PathRule.StagingName => $"names that start with {StagingPrefix} are FastShare's own",
        _ => "it is safe",
    };

    /// <summary>The error for an unsafe path.</summary>
    internal static TransferException Unsafe(string path, string why) =>
        new(TransferError.UnsafeName, $"Unsafe name “{PeerText.Escape(path)}”: {why}.") { Path = path };

    private static PathRule CheckSegment(ReadOnlySpan<char> segment)
    {
        if (segment.IsEmpty) return PathRule.EmptySegment;
        if (segment is "." or "..") return PathRule.DotSegment;

        bool ascii = true;
        foreach (char c in segment)
        {
            if (c == '\\') return PathRule.Backslash;
            if (c == ':') return PathRule.Colon;
            if (char.IsControl(c) || c is '\u2028' or '\u2029') return PathRule.ControlCharacter;
            ascii &= c < 0x80;
        }

        if (!ascii && !IsWellFormed(segment)) return PathRule.NotUnicode;
        if (segment.Length > MaxSegmentBytes || Encoding.UTF8.GetByteCount(segment) > MaxSegmentBytes) return PathRule.SegmentTooLong;
        if (segment[^1] is '.' or ' ') return PathRule.TrailingDotOrSpace;
        if (IsDevice(segment)) return PathRule.DeviceName;
        return IsStagingName(segment, ascii) ? PathRule.StagingName : PathRule.Safe;
    }

    private static bool IsWellFormed(ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(text, out _, out int used) != System.Buffers.OperationStatus.Done) return false;
            text = text[used..];
        }

        return true;
    }

    /// <summary>A device is a device with any extension, and with spaces before it: <c>NUL .txt</c> opens NUL.</summary>
    private static bool IsDevice(ReadOnlySpan<char> segment)
    {
        int dot = segment.IndexOf('.');
        ReadOnlySpan<char> name = (dot < 0 ? segment : segment[..dot]).TrimEnd(' ');
        if (name.Length == 4 && name[3] is (>= '1' and <= '9') or '¹' or '²' or '³')
        {
            name = name[..3];
            return name.Equals("COM", StringComparison.OrdinalIgnoreCase) || name.Equals("LPT", StringComparison.OrdinalIgnoreCase);
        }

        foreach (string device in Devices)
        {
            if (name.Equals(device, StringComparison.OrdinalIgnoreCase)) return true;
        }

        return false;
    }

    /// <summary>Compared folded: <c>.FastShare-</c>, or one with an invisible character, is the same name to some file systems.</summary>
    private static bool IsStagingName(ReadOnlySpan<char> segment, bool ascii)
    {
        if (segment.StartsWith(StagingShortName, StringComparison.OrdinalIgnoreCase)) return true;
        if (ascii) return segment.StartsWith(StagingPrefix, StringComparison.OrdinalIgnoreCase);

        Span<int> folded = stackalloc int[MaxSegmentBytes * NameFolding.MaxExpansion];
        folded = folded[..NameFolding.Fold(segment, folded)];
        if (folded.Length < StagingPrefix.Length) return false;
        for (int i = 0; i < StagingPrefix.Length; i++)
        {
            if (folded[i] != StagingPrefix[i]) return false;
        }

        return true;
    }
}
