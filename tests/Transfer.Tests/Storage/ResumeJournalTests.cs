using System.Buffers;
using CsCheck;
using FastShare.Testing.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Tests.Storage;

public sealed class ResumeJournalTests
{
    private static readonly Gen<ChunkMap> AnyMap =
        from size in Gen.Long[0, 1000]
        from chunkSize in Gen.UInt[1, 50]
        from picks in Gen.Int[0, 999].Array[0, 60]
        select Map(size, chunkSize, picks);

    private static ChunkMap Map(long size, uint chunkSize, params int[] chunks)
    {
        var map = new ChunkMap(size, chunkSize);
        foreach (int i in chunks)
        {
            if (i < map.Count && map.TryBeginWrite(i)) map.Complete(i, (UInt128)i * 1234567);
        }

        return map;
    }

    private static byte[] Entries(bool all, params ChunkMap[] maps)
    {
        var entries = new ArrayBufferWriter<byte>();
        for (int i = 0; i < maps.Length; i++)
        {
            JournalEntry.WriteFile(entries, new StagedFile((UInt128)i + 1, (uint)i, (uint)i + 100, maps[i]));
            maps[i].WriteChanges((uint)i + 100, all, entries);
        }

        return entries.WrittenSpan.ToArray();
    }

    private static byte[] Slot(ulong generation, params ChunkMap[] maps)
    {
        var slot = new ArrayBufferWriter<byte>();
        new ResumeJournal(Received.Id).Encode(slot, generation, 7, 1234, 5678, Entries(false, maps));
        return slot.WrittenSpan.ToArray();
    }

    private static JournalSlot? Decode(byte[] slot) => new ResumeJournal(Received.Id).Decode(slot);

    private static Dictionary<uint, JournalFile>? Replay(ReadOnlyMemory<byte> entries)
    {
        var files = new Dictionary<uint, JournalFile>();
        return ResumeJournal.TryReplay(entries, files) ? files : null;
    }

    [Fact]
    public void Every_slot_reads_back_as_written()
    {
        JournalSlot slot = Decode(Slot(3, Map(100, 10, 1, 5)))!;
        Assert.Equal((3ul, 7u, 1234L, (UInt128)5678), (slot.Generation, slot.Log, slot.LogLength, slot.LogDigest));
        Assert.Equal([100u], Replay(slot.Tail)!.Keys);
    }

    [Fact]
    public void Every_map_reads_back_from_its_changes_and_from_the_whole() =>
        Gen.Select(AnyMap.Array[0, 5], Gen.Bool).Sample((maps, all) =>
    {
        Dictionary<uint, JournalFile> files = Replay(Entries(all, maps))!;
        Assert.Equal(maps.Length, files.Count);
        for (int i = 0; i < maps.Length; i++)
        {
            JournalFile file = files[(uint)i + 100];
            Assert.Equal(((UInt128)i + 1, (uint)i, (uint)i + 100), (file.Key, file.EntryId, file.Serial));
            ChunkMap map = file.ToMap();
            Assert.Equal(maps[i].ClaimCount, map.ClaimCount);
            Assert.Equal(map.ClaimCount, map.UnverifiedCount);
            Assert.False(map.Count > 0 && map.IsComplete); // claimed, not present
            for (long chunk = 0; chunk < map.Count; chunk++)
            {
                Assert.Equal(maps[i].IsClaimed(chunk), map.IsClaimed(chunk));
                if (map.BeginVerify(chunk, out _) is { } digest) Assert.Equal((UInt128)chunk * 1234567, digest);
            }
        }
    }, iter: 300);

    [Fact]
    public void Later_entries_override_earlier_ones()
    {
        ChunkMap map = Map(1000, 10, 1, 2, 3, 50);
        var entries = new ArrayBufferWriter<byte>();
        JournalEntry.WriteFile(entries, new StagedFile(1, 1, 9, map));
        map.WriteChanges(9, all: false, entries);
        int before = entries.WrittenCount;
        map.WriteChanges(9, all: false, entries);
        Assert.Equal(before, entries.WrittenCount); // nothing changed, nothing written

        Assert.True(map.TryBeginWrite(70));
        map.Complete(70, 70);
        map.WriteChanges(9, all: false, entries);
        Assert.Equal(before + JournalEntry.ChunksLength + 16, entries.WrittenCount);

        ChunkMap claimed = Replay(entries.WrittenMemory)![9].ToMap();
        Assert.NotNull(claimed.BeginVerify(2, out _));
        claimed.Abort(2); // the disk did not keep it
        claimed.WriteChanges(9, all: false, entries);
        ChunkMap later = Replay(entries.WrittenMemory)![9].ToMap();
        Assert.Equal([1, 3, 50, 70], Enumerable.Range(0, 100).Where(i => later.IsClaimed(i)));

        JournalEntry.WriteGone(entries, 9);
        Assert.Empty(Replay(entries.WrittenMemory)!);
    }

    [Fact]
    public void A_slot_cut_anywhere_is_none()
    {
        byte[] slot = Slot(3, Map(100, 10, 1, 5), Map(64, 1, 0, 63), Map(0, 1));
        Assert.NotNull(Decode(slot));
        for (int length = 0; length < slot.Length; length++) Assert.Null(Decode(slot[..length]));
        Assert.NotNull(Decode([.. slot, 1, 2, 3])); // room to grow
    }

    [Fact]
    public void A_slot_with_any_bit_flipped_is_none()
    {
        byte[] slot = Slot(3, Map(100, 10, 1, 5), Map(64, 1, 0, 63));
        for (int bit = 0; bit < slot.Length * 8; bit++)
        {
            byte[] flipped = [.. slot];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Null(Decode(flipped));
        }
    }

    [Fact]
    public void A_slot_torn_between_two_generations_is_none_unless_it_is_whole()
    {
        // the new slot is written over the old one in the same file; what a power cut leaves is any mixture of blocks
        byte[] old = Slot(1, Map(1000, 10, [.. Enumerable.Range(0, 50)]));
        byte[] fresh = Slot(3, Map(1000, 10, [.. Enumerable.Range(0, 100)]));
        for (int at = 0; at <= fresh.Length; at++)
        {
            byte[] torn = [.. fresh[..at], .. old.AsSpan(Math.Min(at, old.Length))];
            JournalSlot? state = Decode(torn);
            if (at == fresh.Length) Assert.Equal(3ul, state!.Generation);
            else if (at == 0) Assert.Equal(1ul, state!.Generation);
            // equal bytes on both sides of the cut may still make a whole slot, but only ever one of the two
            else Assert.True(state is null || torn.AsSpan().StartsWith(old) || torn.AsSpan().StartsWith(fresh));
        }
    }

    [Fact]
    public void A_journal_of_another_transfer_is_none() =>
        Assert.Null(new ResumeJournal(new TransferId(1)).Decode(Slot(3)));

    [Fact]
    public void Hostile_bytes_with_a_valid_checksum_never_throw_and_take_no_memory()
    {
        byte[] entries = Entries(false, Map(100, 10, 1, 5), Map(64, 1, 0, 63));
        Gen<byte> value = Gen.OneOf(Gen.Byte, Gen.Const((byte)0xFF), Gen.Const((byte)0x7F));
        Gen.Select(Gen.Int[0, entries.Length - 1], value).Array[1, 8].Sample(changes =>
        {
            byte[] hostile = [.. entries];
            foreach ((int at, byte changed) in changes) hostile[at] = changed;
            long before = GC.GetAllocatedBytesForCurrentThread();
            Replay(hostile);
            long taken = GC.GetAllocatedBytesForCurrentThread() - before;
            if (taken > 64 * 1024) Assert.Fail($"{taken} bytes taken");
        }, iter: 20_000, threads: 1);
    }

    [Fact]
    public void Keys_tell_plans_apart()
    {
        var entry = Received.File(3, "a/b", 100);
        UInt128 key = ResumeJournal.KeyOf(entry, 10);
        Assert.Equal(key, ResumeJournal.KeyOf(entry with { Id = 9, Mode = 0 }, 10));
        Assert.NotEqual(key, ResumeJournal.KeyOf(entry with { Path = "a/c" }, 10));
        Assert.NotEqual(key, ResumeJournal.KeyOf(entry with { Size = 101 }, 10));
        Assert.NotEqual(key, ResumeJournal.KeyOf(entry with { ModifiedUnixNanoseconds = 0 }, 10));
        Assert.NotEqual(key, ResumeJournal.KeyOf(entry, 11));
    }
}
