using CsCheck;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Planning.Internal;

namespace FastShare.Transfer.Tests.Planning;

public sealed class ManifestValidatorTests
{
    private readonly ManifestValidator _validator = new();
    private uint _id;

    private void File(string path, long size = 1) => Add(Received.File(_id, path, size));

    private void Folder(string path) => Add(Received.Folder(_id, path));

    private void Add(ManifestEntry entry)
    {
        _validator.Add(entry);
        _id++;
    }

    private static void Refuses(TransferError error, Action add) => Assert.Equal(error, Assert.Throws<TransferException>(add).Error);

    [Fact]
    public void An_honest_tree_is_taken_and_summed_up()
    {
        Folder("photos");
        File("photos/.hidden", 10);
        Folder("photos/2024");
        File("photos/2024/ملف\u200F.txt", 20);
        File("implicit/folders/file", 30);
        File("implicit/folders/file2", 40);
        Add(new ManifestEntry(_id, EntryKind.Symlink, "photos/latest", 0, -1, 0, "2024"));
        Assert.Equal((7, 4, 100), (_validator.Entries, _validator.Files, _validator.TotalBytes));
        Assert.Equal(["photos", "implicit", "photos"], _validator.RootNames);
        Assert.Equal(["photos/.hidden"], _validator.HiddenNames);
        Assert.Equal(["photos/2024/ملف\u200F.txt"], _validator.MisleadingNames);
    }

    [Theory]
    [InlineData("README", "readme")]
    [InlineData("\u00C9", "e\u0301")]
    [InlineData("\u00E9", "E\u0301")]
    [InlineData("\u1E9E", "ss")]
    [InlineData("\u00DF", "SS")]
    [InlineData("\uFB01", "FI")]
    [InlineData("\u212B", "\u00E5")]
    [InlineData("\u03A3", "\u03C2")]
    [InlineData("\u01C6", "\u01C4")]
    [InlineData("\u0958", "\u0915\u093C")]
    [InlineData("\uAC00", "\u1100\u1161")]
    [InlineData("\uAC01", "\u1100\u1161\u11A8")]
    [InlineData("a\u0323\u0302", "a\u0302\u0323")]
    [InlineData("\U00010400", "\U00010428")]
    [InlineData("\u03A9", "\u2126")]
    [InlineData("\u0130", "i\u0307")]
    [InlineData("a\u200Db", "ab")]
    [InlineData("x\uFE0F", "X")]
    public void Names_that_differ_only_in_case_or_form_collide(string first, string second)
    {
        foreach ((string a, string b) in ((string, string)[])[(first, second), (second, first)])
        {
            foreach (string prefix in (string[])["", "d/", "d/e/"])
            {
                var validator = new ManifestValidator();
                validator.Add(Received.File(0, prefix + a, 1));
                Refuses(TransferError.UnsafeName, () => validator.Add(Received.File(1, prefix + b, 1)));
                Refuses(TransferError.UnsafeName, () => validator.Add(Received.Folder(1, prefix + b)));
                // as folders of two files, too
                validator = new ManifestValidator();
                validator.Add(Received.File(0, prefix + a + "/x", 1));
                Refuses(TransferError.UnsafeName, () => validator.Add(Received.File(1, prefix + b + "/y", 1)));
            }
        }
    }

    [Theory]
    [InlineData("a", "b")]
    [InlineData("x\u00B2", "x2")] // compatibility forms are different names everywhere
    [InlineData("\uFF21", "A")]
    [InlineData("e\u0301", "e\u0300")]
    [InlineData("ı", "i")]
    [InlineData("a/b", "b/a")]
    [InlineData("ab", "a/b")]
    public void Different_names_do_not_collide(string first, string second)
    {
        File(first);
        File(second);
    }

    [Fact]
    public void Folding_agrees_with_reference_vectors()
    {
        // NFD(casefold(NFD(s))) without ignorables, computed with another implementation (Python's unicodedata)
        foreach ((string text, string expected) in ((string, string)[])
            [
                ("Straße", "strasse"), ("ÀÉÎÕÜ", "a\u0300e\u0301i\u0302o\u0303u\u0308"), ("ﬀﬁ", "fffi"), ("ΑΒΓς", "αβγσ"),
                ("한글", "\u1112\u1161\u11AB\u1100\u1173\u11AF"),
                ("ệ", "e\u0323\u0302"), ("e\u0302\u0323", "e\u0323\u0302"), ("a/É/b", "a/e\u0301/b"), ("\u0344", "\u0308\u0301"),
            ])
        {
            int[] folded = new int[text.Length * NameFolding.MaxExpansion];
            int count = NameFolding.Fold(text, folded);
            Assert.Equal(expected, string.Concat(folded.Take(count).Select(char.ConvertFromUtf32)));
        }
    }

    [Fact]
    public void Marks_in_any_order_fold_as_if_they_were_sorted_stably()
    {
        // U+0344 is two marks
        (char Mark, string Folded, int Class)[] marks =
            [('\u0301', "\u0301", 230), ('\u0323', "\u0323", 220), ('\u0334', "\u0334", 1), ('\u0300', "\u0300", 230), ('\u0344', "\u0308\u0301", 230)];
        Gen.Select(Gen.Int[0, 4].Array[0, 120], Gen.Int[0, 3]).Sample((chosen, bases) =>
        {
            string text = string.Concat(Enumerable.Repeat(string.Concat(chosen.Select(i => marks[i].Mark)) + "x", bases + 1));
            string sorted = string.Concat(chosen.Select(i => marks[i]).OrderBy(mark => mark.Class).Select(mark => mark.Folded)) + "x";
            int[] folded = new int[text.Length * NameFolding.MaxExpansion];
            int count = NameFolding.Fold(text, folded);
            Assert.Equal(
                string.Concat(Enumerable.Repeat(sorted, bases + 1)), string.Concat(folded.Take(count).Select(char.ConvertFromUtf32)));
        }, iter: 2000);
    }

    [Fact]
    public void Names_of_marks_in_the_worst_order_cost_no_more_than_they_are_long()
    {
        // Each takes a peer five bytes in a page, for it shares all but its end with the one before. Sorted by exchange these took 15 s.
        string worst = new string('\u0301', 60) + new string('\u0323', 60);
        for (int i = 0; i < 10_000; i++) File($"{worst}{i:x}");
        Assert.Equal(10_000, _validator.Files);
    }

    [Fact]
    public void Folders_that_only_paths_tell_of_count_as_memory()
    {
        long before = _validator.MemoryHeld;
        File(string.Join('/', Enumerable.Repeat("d", 255)));
        Assert.InRange(_validator.MemoryHeld - before, 255 * 16, 255 * 16 * 8);
    }

    [Fact]
    public void A_path_may_stand_only_once()
    {
        File("a");
        Refuses(TransferError.UnsafeName, () => File("a"));
        Refuses(TransferError.UnsafeName, () => Folder("a"));
        Folder("d");
        Refuses(TransferError.UnsafeName, () => Folder("d"));
        File("i/x");
        Folder("i"); // implicit so far
        Refuses(TransferError.UnsafeName, () => Folder("i"));
    }

    [Fact]
    public void A_file_cannot_be_a_folder()
    {
        File("a");
        Refuses(TransferError.UnsafeName, () => File("a/b"));
        Refuses(TransferError.UnsafeName, () => File("a/b/c/d"));
        Refuses(TransferError.UnsafeName, () => File("A/b"));
        Add(new ManifestEntry(_id, EntryKind.Symlink, "link", 0, -1, 0, "x"));
        Refuses(TransferError.UnsafeName, () => File("link/b"));
        File("d/e/f");
        Refuses(TransferError.UnsafeName, () => File("d"));
        Refuses(TransferError.UnsafeName, () => File("d/e"));
        Refuses(TransferError.UnsafeName, () => File("D/e/g"));
        Refuses(TransferError.UnsafeName, () => File("d/E/g"));
        File("d/e/g");
    }

    [Fact]
    public void A_refused_entry_leaves_no_trace()
    {
        File("a");
        Refuses(TransferError.UnsafeName, () => File("new/../x"));
        Refuses(TransferError.UnsafeName, () => File("a/new/x"));
        Refuses(TransferError.ProtocolViolation, () => File("b", -1));
        Refuses(TransferError.ProtocolViolation, () => File("c", long.MaxValue));
        File("b", 2);
        File("new", 3);
        Assert.Equal((3, 6), (_validator.Entries, _validator.TotalBytes));
    }

    [Fact]
    public void Ids_count_up_from_zero()
    {
        Refuses(TransferError.ProtocolViolation, () => _validator.Add(Received.File(1, "a", 1)));
        _validator.Add(Received.File(0, "a", 1));
        Refuses(TransferError.ProtocolViolation, () => _validator.Add(Received.File(0, "b", 1)));
        Refuses(TransferError.ProtocolViolation, () => _validator.Add(Received.File(2, "b", 1)));
        Refuses(TransferError.ProtocolViolation, () => _validator.Add(Received.File(uint.MaxValue, "b", 1)));
    }

    [Fact]
    public void Entries_out_of_shape_are_refused()
    {
        foreach (ManifestEntry entry in (ManifestEntry[])
            [
                new(0, EntryKind.File, "a", -1, 0, 0, null),
                new(0, EntryKind.File, "a", long.MinValue, 0, 0, null),
                new(0, EntryKind.Directory, "a", 1, 0, 0, null),
                new(0, EntryKind.Symlink, "a", 1, 0, 0, "b"),
                new(0, EntryKind.Symlink, "a", 0, 0, 0, null),
                new(0, EntryKind.File, "a", 0, 0, 0, "b"),
                new(0, (EntryKind)4, "a", 0, 0, 0, null),
                new(0, EntryKind.File, "a", 0, -2, 0, null),
                new(0, EntryKind.File, "a", 0, 0x200, 0, null),
                new(0, EntryKind.File, "a", 0, 0xFFF, 0, null),
            ])
        {
            Refuses(TransferError.ProtocolViolation, () => _validator.Add(entry));
        }

        Refuses(TransferError.UnsafeName, () => _validator.Add(new ManifestEntry(0, EntryKind.Symlink, "a", 0, 0, 0, "../b")));
    }

    [Fact]
    public void The_number_of_entries_is_limited()
    {
        var validator = new ManifestValidator(maxEntries: 2);
        validator.Add(Received.File(0, "a", 1));
        validator.Add(Received.File(1, "b", 1));
        Refuses(TransferError.ProtocolViolation, () => validator.Add(Received.File(2, "c", 1)));
    }

    [Fact]
    public void Messages_escape_the_name_and_say_the_rule()
    {
        var e = Assert.Throws<TransferException>(() => File("evil\u001B[2Jname/.."));
        Assert.Equal("evil\u001B[2Jname/..", e.Path);
        Assert.Contains("\\u{1B}", e.Message, StringComparison.Ordinal);
        Assert.Contains("control character", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001B', e.Message);
    }

    [Fact]
    public void Remembering_a_hundred_thousand_paths_takes_little_memory()
    {
        // a hash table of 16-byte slots, at most 3/4 full, doubling: 4 MiB at this size, 32 MiB for a million
        var table = new PathTable();
        int[] folded = new int[16];
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100_000; i++)
        {
            folded[0] = i;
            PathTable.Key key = table.KeyOf("", folded);
            if (table.Find(key, out _) != PathUse.None) Assert.Fail($"path {i} was taken for another");
            table.Set(key, PathUse.Leaf);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1 << 20, 9 << 20);
        folded[0] = 99_999;
        Assert.Equal(PathUse.Leaf, table.Find(table.KeyOf("", folded), out bool same));
        Assert.True(same);
        table.Find(table.KeyOf("x", folded), out same);
        Assert.False(same);
    }
}
