using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Tests.Planning;

public sealed class SafePathTests
{
    private static readonly string[] Devices =
    [
        "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", .. "123456789¹²³".SelectMany(digit => new[] { "COM" + digit, "LPT" + digit }),
    ];

    /// <summary>Hostile segments, each with the rule it breaks.</summary>
    private static IEnumerable<(string Segment, PathRule Rule)> HostileSegments()
    {
        yield return (".", PathRule.DotSegment);
        yield return ("..", PathRule.DotSegment);
        int[] controls = [.. Enumerable.Range(0, 0x20), .. Enumerable.Range(0x7F, 0x21), 0x2028, 0x2029];
        foreach (char c in controls.Select(c => (char)c))
        {
            yield return ("a" + c + "b", PathRule.ControlCharacter);
            yield return (c.ToString(), PathRule.ControlCharacter);
        }

        string[] backslashes = [@"a\b", @"\", @"\\server\share", @"\\?\C:\x", @"\??\C:\x", @"\\.\NUL", @"..\..\x", @"C\:", @"a\"];
        foreach (string text in backslashes)
        {
            yield return (text, PathRule.Backslash);
        }

        yield return ("a:", PathRule.Absolute);
        foreach (string text in (string[])["ab:c", "file.txt:stream", "file::$DATA", ":", ":a", "é:"]) yield return (text, PathRule.Colon);
        foreach (string text in (string[])["a.", "a ", "a. ", "a .", "...", " ", "....", "a\u00e9 ", ".a.", "é."])
        {
            yield return (text, PathRule.TrailingDotOrSpace);
        }

        foreach (string device in Devices)
        {
            string lower = device.ToLowerInvariant(), mixed = device[..1] + lower[1..];
            string[] forms = [device, lower, mixed, device + ".txt", device + ".tar.gz", device + " .txt", device + "   .x"];
            foreach (string form in forms)
            {
                yield return (form, PathRule.DeviceName);
            }

            yield return (device + " ", PathRule.TrailingDotOrSpace);
            yield return (device + ".", PathRule.TrailingDotOrSpace);
            yield return (device + ":", PathRule.Colon);
        }

        foreach (string text in (string[])
            [".fastshare-", ".fastshare-0123", ".FASTSHARE-x", ".FastShare-", ".fast\u200Dshare-1", ".fastshare\uFEFF-1", ".fa\u017Ft\u017Fhare-",
            "\u00AD.fastshare-1", "FASTSH~1", "fastsh~2.x"])
        {
            yield return (text, PathRule.StagingName);
        }

        string[] broken = ["\uD800", "a\uDC00", "\uDC00\uD800", "a\uD800b", "é\uDBFF"];
        foreach (string text in broken) yield return (text, PathRule.NotUnicode);
        yield return (new string('a', 256), PathRule.SegmentTooLong);
        yield return (new string('é', 128), PathRule.SegmentTooLong);
        yield return (string.Concat(Enumerable.Repeat("🎉", 64)), PathRule.SegmentTooLong);
    }

    private static IEnumerable<(string Path, PathRule Rule)> Hostile()
    {
        yield return ("", PathRule.Empty);
        foreach (string path in (string[])["/", "//", "/a", "/etc/passwd", "//server/share", "//?/C:/x", "C:", "c:/x", "C:x", "Z:/"])
        {
            yield return (path, PathRule.Absolute);
        }

        foreach (string path in (string[])["a/", "a//b", "a/b/", "a///b", "a/b//"]) yield return (path, PathRule.EmptySegment);
        yield return (new string('a', 4096), PathRule.PathTooLong);
        yield return (string.Join('/', Enumerable.Repeat(new string('b', 200), 21)), PathRule.PathTooLong);
        yield return (string.Join('/', Enumerable.Repeat("a", 256)), PathRule.TooDeep);
        foreach ((string segment, PathRule rule) in HostileSegments())
        {
            yield return (segment, rule);
            if (rule == PathRule.Absolute) continue;
            yield return ("a/" + segment, rule);
            yield return ("a/" + segment + "/b", rule);
        }
    }

    [Fact]
    public void Every_hostile_form_is_refused_by_the_rule_it_breaks()
    {
        (string Path, PathRule Rule)[] forms = [.. Hostile().DistinctBy(form => form.Path)];
        Assert.True(forms.Length >= 500, $"{forms.Length} forms");
        foreach ((string path, PathRule rule) in forms)
        {
            Assert.True(SafePath.Check(path) == rule, $"{Show(path)}: {SafePath.Check(path)} instead of {rule}");
            var e = Assert.Throws<TransferException>(() => SafePath.Validate(path));
            Assert.Equal(TransferError.UnsafeName, e.Error);
            Assert.Equal(path, e.Path);
            Assert.Contains(SafePath.Describe(rule), e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain(e.Message, char.IsControl);
        }
    }

    [Theory]
    [InlineData("a")]
    [InlineData(".bashrc")]
    [InlineData(".ssh/authorized_keys")]
    [InlineData("..a/...b")]
    [InlineData("a..b/c")]
    [InlineData(" leading")]
    [InlineData("CONSOLE/COM10/LPT/NULL/COM/COM0/LPT٣/COM⁴/AUX1.txt")]
    [InlineData("x.CON")]
    [InlineData(".fastshare/fastshare-1/.fastshareX/FASTSH1")]
    [InlineData("*?<>|\"'`$%&;#!~^(){}[]=+,@")]
    [InlineData("файл/文件/ملف/👨‍👩‍👧/e\u0301")]
    [InlineData("\u202Egnp.exe")]
    public void Harmless_names_are_taken(string path)
    {
        Assert.Equal(PathRule.Safe, SafePath.Check(path));
        SafePath.Validate(path);
    }

    [Fact]
    public void The_longest_names_are_taken()
    {
        Assert.Equal(PathRule.Safe, SafePath.Check(new string('a', 255)));
        Assert.Equal(PathRule.Safe, SafePath.Check(string.Concat(Enumerable.Repeat("é", 127)) + "a"));
        Assert.Equal(PathRule.Safe, SafePath.Check(string.Join('/', Enumerable.Repeat(new string('a', 255), 16))));
        Assert.Equal(PathRule.Safe, SafePath.Check(string.Join('/', Enumerable.Repeat("a", 255))));
    }

    [Theory]
    [InlineData("a", false, false)]
    [InlineData(".a", true, false)]
    [InlineData("a/.b/c", true, false)]
    [InlineData("a.b/c", false, false)]
    [InlineData("photo\u202Egpj.exe", false, true)]
    [InlineData("a\u200Bb", false, true)]
    [InlineData("é", false, false)]
    public void Names_worth_a_second_look_are_flagged(string path, bool hidden, bool misleading)
    {
        Assert.Equal(hidden, SafePath.IsHidden(path));
        Assert.Equal(misleading, SafePath.IsMisleading(path));
    }

    [Theory]
    [InlineData("l", "a", true)]
    [InlineData("l", "a/b", true)]
    [InlineData("d/l", "../a", true)]
    [InlineData("d/l", "..", true)]
    [InlineData("d/e/l", "../../a", true)]
    [InlineData("l", "..", false)]
    [InlineData("l", "../a", false)]
    [InlineData("d/l", "../../a", false)]
    [InlineData("d/l", "../..", false)]
    [InlineData("d/e/l", "x/../../../a", false)]
    [InlineData("d/e/l", "x/..", false)]
    [InlineData("l", "/etc/passwd", false)]
    [InlineData("l", "", false)]
    [InlineData("l", ".", false)]
    [InlineData("d/l", "../", false)]
    [InlineData("d/l", "..//x", false)]
    [InlineData("l", "C:/x", false)]
    [InlineData("l", "a\\b", false)]
    [InlineData("l", "a\0b", false)]
    [InlineData("l", ".fastshare-1/lock", false)]
    public void Link_targets_stay_in_the_tree(string path, string target, bool allowed) =>
        Assert.Equal(allowed, SafePath.CheckLinkTarget(path, target) is null);

    private static string Show(string path) =>
        string.Concat(path.Take(80).Select(c => c is > ' ' and < '\x7f' ? c.ToString() : $"\\u{(int)c:x4}"));
}
