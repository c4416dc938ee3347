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
    ];

    // first id 300, count 3, then the entries
    private const string SampleBytes =
        "AC02" + "03"
        + "01" + "0164" + "EE03" + "000000003B9ACA00"
        + "00" + "04642FC3A9" + "A503" + "FFFFFFFFFFFFFFFF" + "808001"
        + "02" + "03642F6C" + "00" + "0000000000000000" + "02C3A9";

    private static readonly Gen<ManifestEntry> AnyEntry =
        from kind in Gen.Int[0, 2]
        from path in Gen.String[Gen.Char['a', '\u0500'], 1, 60]
        from size in Gen.Long[0, long.MaxValue]
        from mode in Gen.Int[-1, 0x1FF]
        from time in Gen.Long
        from target in Gen.String[Gen.Char['!', '\u0500'], 1, 20]
        select new ManifestEntry(0, (EntryKind)kind, path, kind == 0 ? size : 0, mode, time, kind == 2 ? target : null);

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
        Assert.Equal(SampleBytes.Length / 2, 3 + Sample.Sum(ManifestPage.EncodedLength));
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
    [InlineData("000003", "unknown kind")]
    [InlineData("008120", "4097 entries")]
    [InlineData("00FFFFFFFFFFFFFFFF7F", "a giant count")]
    [InlineData("FFFFFFFF0F01" + "01" + "0164" + "00" + "0000000000000000", "an id beyond 32 bits")]
    [InlineData("8000" + "00", "a padded varint")]
    [InlineData("0001" + "01" + "00" + "00" + "000000000000000000", "an empty path")]
    [InlineData("0001" + "01" + "0164" + "8104" + "0000000000000000", "a mode of 512")]
    [InlineData("0001" + "01" + "02C328" + "00" + "0000000000000000", "invalid UTF-8")]
    [InlineData("0001" + "01" + "03EDA080" + "00" + "0000000000000000", "a UTF-8 surrogate")]
    [InlineData("0001" + "01" + "02C080" + "00" + "0000000000000000", "an overlong NUL")]
    [InlineData("0001" + "01" + "8020" + "00" + "0000000000000000", "a path of 4096 bytes")]
    [InlineData("0001" + "00" + "0164" + "00" + "0000000000000000" + "80808080808080808001", "a size beyond 63 bits")]
    public void Malformed_pages_are_refused(string hex, string why)
    {
        var e = Assert.Throws<TransferException>(() => Decode(Convert.FromHexString(hex)));
        Assert.True(e.Error == TransferError.ProtocolViolation, why);
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
