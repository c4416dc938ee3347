using System.Buffers;
using CsCheck;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Tests.Storage;

namespace FastShare.Transfer.Tests.Planning;

public sealed class ManifestPageTests
{
    private static readonly ManifestEntry[] Sample =
    [
        new(300, EntryKind.Directory, "d", 0, 0x1ED, 1_000_000_000, null),
        new(301, EntryKind.File, "d/é", 0x4000, 0x1A4, -1, null),
        new(302, EntryKind.Symlink, "d/l", 0, -1, 0, "é"),
        new(303, EntryKind.File, "d/l2", 0x4000, -1, 1L << 62, null),
    ];

    // first id 300, count 4, then the entries
    private const string SampleBytes =
        "AC02" + "04"
        + "01" + "00" + "0164" + "EE03" + "80A8D6B907"
        + "00" + "01" + "032FC3A9" + "A503" + "81A8D6B907" + "808001"
        + "02" + "02" + "016C" + "00" + "02" + "02C3A9"
        + "1C" + "03" + "0132" + "4000000000000000";

    private static readonly Gen<ManifestEntry> AnyEntry =
        from kind in Gen.Int[0, 2]
        from shared in Gen.Int[0, 300]
        from path in Gen.String[Gen.Char['a', '\u0500'], 1, 60]
        from size in Gen.OneOf(Gen.Long[0, long.MaxValue], Gen.Long[0, 1])
        from mode in Gen.OneOf(Gen.Int[-1, 0x1FF], Gen.Const(0x1A4))
        from time in Gen.OneOf(Gen.Long, Gen.Long[0, 1000])
        from target in Gen.String[Gen.Char['!', '\u0500'], 1, 20]
        select new ManifestEntry(
            0, (EntryKind)kind, new string('a', shared) + path, kind == 0 ? size : 0, mode, time, kind == 2 ? target : null);

    private static byte[] Encode(IReadOnlyList<ManifestEntry> entries)
    {
        var writer = new ArrayBufferWriter<byte>();
        ManifestPage.Encode(entries, writer);
        return writer.WrittenSpan.ToArray();
    }

    private static List<ManifestEntry> Decode(byte[] page) => ManifestPage.Decode(new ReadOnlySequence<byte>(page));

    [Fact]
    public void Bytes_are_the_documented_ones()
    {
        Assert.Equal(SampleBytes, Convert.ToHexString(Encode(Sample)));
        Assert.Equal(Sample, Decode(Convert.FromHexString(SampleBytes)));
        Assert.True(SampleBytes.Length / 2 <= 3 + Sample.Sum(ManifestPage.EncodedLength));
    }

    [Fact]
    public void Every_page_reads_back_as_written() =>
        Gen.Select(AnyEntry.Array[0, 50], Gen.UInt[0, uint.MaxValue - 100]).Sample((entries, first) =>
    {
        for (int i = 0; i < entries.Length; i++) entries[i] = entries[i] with { Id = first + (uint)i };
        byte[] page = Encode(entries);
        Assert.True(page.Length <= 11 + entries.Sum(ManifestPage.EncodedLength));
        Assert.Equal(entries, Decode(page));
        // in pieces, as it comes from the network
        Assert.Equal(entries, ManifestPage.Decode(Split(page)));
    }, iter: 300);

    [Fact]
    public void A_cut_page_is_refused_wherever_it_is_cut()
    {
        byte[] page = Encode(Sample);
        for (int length = 0; length < page.Length; length++)
        {
            Failing.With(TransferError.ProtocolViolation, () => Decode(page[..length]));
        }

        Failing.With(TransferError.ProtocolViolation, () => Decode([.. page, 0]));
    }

    [Theory]
    [InlineData("0001" + "20" + "00" + "0164" + "00" + "00", "an unknown bit")]
    [InlineData("008120", "4097 entries")]
    [InlineData("00FFFFFFFFFFFFFFFF7F", "a giant count")]
    [InlineData("FFFFFFFF0F01" + "05" + "00" + "0164" + "00", "an id beyond 32 bits")]
    [InlineData("8000" + "00", "a padded varint")]
    [InlineData("0001" + "05" + "00" + "00" + "00" + "00", "an empty path")]
    [InlineData("0001" + "05" + "01" + "0164" + "00", "more shared than there is")]
    [InlineData("0002" + "05" + "00" + "0164" + "00" + "05" + "00" + "026465" + "00", "less shared than could be")]
    [InlineData("0001" + "01" + "00" + "0164" + "8104" + "00", "a mode of 512")]
    [InlineData("0001" + "01" + "00" + "0164" + "00" + "00", "a mode told again")]
    [InlineData("0001" + "05" + "00" + "02C328" + "00", "invalid UTF-8")]
    [InlineData("0001" + "05" + "00" + "03EDA080" + "00", "a UTF-8 surrogate")]
    [InlineData("0001" + "05" + "00" + "02C080" + "00", "an overlong NUL")]
    [InlineData("0001" + "05" + "00" + "8020" + "00", "a path of 4096 bytes")]
    [InlineData("0001" + "05" + "00" + "FFFFFFFFFFFFFFFF7F" + "00", "a path of 2^63 bytes")]
    [InlineData("0001" + "04" + "00" + "0164" + "00" + "80808080808080808001", "a size beyond 63 bits")]
    [InlineData("0001" + "04" + "00" + "0164" + "00" + "00", "a size told again")]
    [InlineData("0001" + "0D" + "00" + "0164" + "00", "a folder with a size")]
    [InlineData("0001" + "15" + "00" + "0164" + "0000000000000001", "a time longer than its difference")]
    [InlineData("0001" + "05" + "00" + "0164" + "808080808080808001", "a difference longer than the time")]
    public void Malformed_pages_are_refused(string hex, string why)
    {
        var e = Assert.Throws<TransferException>(() => Decode(Convert.FromHexString(hex)));
        Assert.True(e.Error == TransferError.ProtocolViolation, why);
    }

    [Fact]
    public void Neighbours_in_a_tree_take_eight_bytes_each()
    {
        long time = 1_700_000_000_000_000_000;
        ManifestEntry[] files = [.. Enumerable.Range(0, 256).Select(i =>
            new ManifestEntry((uint)i, EntryKind.File, $"source/d0007/f{7000 + i:0000000}", 1024, 0x1A4, time += 12_345, null))];
        Assert.InRange(Encode(files).Length, 1, 8 * files.Length + 40);
    }

    [Fact]
    public void A_few_bytes_do_not_become_kilobytes()
    {
        string path = string.Join('/', Enumerable.Repeat(new string('a', 200), 20));
        ManifestEntry[] files = [.. Enumerable.Range(0, 64).Select(i => Received.File((uint)i, $"{path}{i:00}", 1))];
        byte[] page = Encode(files);
        Assert.Equal(files, Decode(page));
        Assert.True(page.Length > files.Sum(file => file.Path.Length - 255));
    }

    [Fact]
    public void An_oversized_page_is_refused_unread() =>
        Failing.With(TransferError.ProtocolViolation, () => Decode(new byte[ManifestPage.MaxBytes + 1]));

    [Fact]
    public void A_page_that_could_not_be_read_is_not_written()
    {
        ManifestEntry[] many = [.. Enumerable.Range(0, ManifestPage.MaxEntries + 1).Select(i => Received.File((uint)i, "a", 1))];
        Assert.Throws<ArgumentException>(() => Encode(many));
        Assert.Equal(ManifestPage.MaxEntries, Decode(Encode(many[..ManifestPage.MaxEntries])).Count);
        Assert.Throws<ArgumentException>(() => Encode([many[0], many[2]]));
        string path = string.Join('/', Enumerable.Repeat(new string('a', 200), 20));
        Assert.Throws<ArgumentException>(() => Encode([.. Enumerable.Range(0, 300).Select(i => Received.File((uint)i, path, 1))]));
        Assert.Empty(Decode(Encode([])));
    }

    [Fact]
    public void Any_bytes_give_entries_or_a_protocol_violation() => Gen.OneOf(
        Gen.Byte.Array[0, 200],
        // near misses: the sample with a few bytes changed
        Gen.Select(Gen.Int[0, (SampleBytes.Length / 2) - 1], Gen.Byte).Array[1, 4].Select(changes =>
        {
            byte[] page = Convert.FromHexString(SampleBytes);
            foreach ((int at, byte value) in changes) page[at] = value;
            return page;
        })).Sample(page =>
    {
        try
        {
            List<ManifestEntry> entries = Decode(page);
            Assert.Equal(page, Encode(entries)); // one form only
        }
        catch (TransferException e)
        {
            Assert.Equal(TransferError.ProtocolViolation, e.Error);
        }
    }, iter: 50_000);

    [Fact]
    public void Damaged_pages_give_entries_that_are_kept_as_they_are_or_a_typed_error() => Gen.Select(
        AnyEntry.Array[1, 20], Gen.Select(Gen.Int[0, 4000], Gen.Byte, Gen.Int[0, 2]).Array[1, 4]).Sample((entries, changes) =>
    {
        for (int i = 0; i < entries.Length; i++) entries[i] = entries[i] with { Id = (uint)i };
        List<byte> page = [.. Encode(entries)];
        foreach ((int place, byte value, int how) in changes)
        {
            int at = place % page.Count;
            if (how == 0) page[at] = value;
            else if (how == 1) page.Insert(at, value);
            else if (page.Count > 1) page.RemoveAt(at);
        }

        var validator = new ManifestValidator();
        var log = new EntryLog();
        var taken = new List<ManifestEntry>();
        try
        {
            List<ManifestEntry> decoded = Decode([.. page]);
            Assert.Equal(page, Encode(decoded));
            foreach (ManifestEntry entry in decoded)
            {
                validator.Add(entry);
                log.Add(entry);
                taken.Add(entry);
            }
        }
        catch (TransferException e)
        {
            Assert.True(e.Error is TransferError.ProtocolViolation or TransferError.UnsafeName, e.ToString());
        }

        Assert.Equal(taken, Enumerable.Range(0, taken.Count).Select(id => log[(uint)id]));
        Assert.Equal(taken.Sum(entry => entry.AnnouncedBytes), validator.TotalBytes);
    }, iter: 3000);

    private static ReadOnlySequence<byte> Split(byte[] page)
    {
        if (page.Length < 2) return new ReadOnlySequence<byte>(page);
        var first = new Piece(page.AsMemory(0, page.Length / 2), 0);
        Piece last = first.Append(page.AsMemory(page.Length / 2));
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        public Piece Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Piece(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
