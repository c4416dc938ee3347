using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Tests.Planning;

public sealed class EntryLogTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(10_000)]
    public void Every_entry_comes_back_as_it_was_added(int count)
    {
        var random = new Random(count);
        ManifestEntry[] entries = [.. Enumerable.Range(0, count).Select(i => Make((uint)i, random, longest: 60))];
        EntryLog log = Fill(entries);
        Assert.Equal((uint)count, log.Count);
        Assert.Equal(entries, Enumerable.Range(0, count).Select(i => log[(uint)i]));
        foreach (int i in Enumerable.Range(0, 200).Select(_ => random.Next(count))) Assert.Equal(entries[i], log[(uint)i]); // out of order
    }

    [Fact]
    public void Extremely_long_paths_make_shorter_pages()
    {
        var random = new Random(1);
        ManifestEntry[] entries = [.. Enumerable.Range(0, 1200).Select(i => Make((uint)i, random, longest: i % 3 == 0 ? 1300 : 20))];
        EntryLog log = Fill(entries);
        for (uint id = 1200; id-- > 0;) Assert.Equal(entries[id], log[id]);
    }

    [Fact]
    public void It_can_be_read_while_it_grows()
    {
        var random = new Random(2);
        var log = new EntryLog();
        for (uint id = 0; id < 2000; id++)
        {
            ManifestEntry entry = Make(id, random, longest: 30);
            log.Add(entry);
            Assert.Equal(entry, log[id]);
            Assert.Equal(id / 2, log[id / 2].Id);
        }
    }

    [Theory]
    [InlineData(0)] // page by page, as they lie there
    [InlineData(100)] // from the middle of one
    [InlineData(512)] // the last, which is not whole
    [InlineData(599)] // its last entry
    public void Its_pages_are_manifest_pages_from_any_entry_on(uint first)
    {
        var random = new Random(4);
        ManifestEntry[] entries = [.. Enumerable.Range(0, 600).Select(i => Make((uint)i, random, longest: 30))];
        EntryLog log = Fill(entries);
        var read = new List<ManifestEntry>();
        for (uint next = first; next < log.Count;)
        {
            List<ManifestEntry> page = ManifestPage.Decode(new(log.PageFrom(next, out uint behind)));
            Assert.Equal((next, behind), (page[0].Id, page[^1].Id + 1));
            read.AddRange(page);
            next = behind;
        }

        Assert.Equal(entries[(int)first..], read);
        Assert.Throws<ArgumentOutOfRangeException>(() => log.PageFrom(600, out _));
    }

    [Fact]
    public void It_tells_its_memory()
    {
        var random = new Random(5);
        EntryLog log = Fill(Enumerable.Range(0, 4096).Select(i => Make((uint)i, random, longest: 30)));
        long sum = 0;
        for (uint next = 0; next < log.Count;) sum += log.PageFrom(next, out next).Length;
        Assert.Equal(sum, log.MemoryHeld);
    }

    [Fact]
    public void There_is_nothing_behind_the_last_entry()
    {
        EntryLog log = Fill([Make(0, new Random(3), 5)]);
        Assert.Throws<ArgumentOutOfRangeException>(() => log[1]);
        Assert.Throws<ArgumentException>(() => log.Add(Make(2, new Random(3), 5)));
    }

    private static EntryLog Fill(IEnumerable<ManifestEntry> entries)
    {
        var log = new EntryLog();
        foreach (ManifestEntry entry in entries) log.Add(entry);
        return log;
    }

    private static ManifestEntry Make(uint id, Random random, int longest)
    {
        var kind = (EntryKind)random.Next(3);
        string path = string.Concat(Enumerable.Range(0, random.Next(1, longest)).Select(_ => $"é{random.Next(10)}")) + id;
        return new ManifestEntry(
            id, kind, path, kind == EntryKind.File ? random.NextInt64(1L << 62) : 0, random.Next(-1, 512),
            random.NextInt64(), kind == EntryKind.Symlink ? "target" + id : null);
    }
}
