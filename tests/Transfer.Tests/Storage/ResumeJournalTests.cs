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

    private static byte[] Slot(ulong generation, bool clean, params ChunkMap[] maps)
    {
        var journal = new ResumeJournal(Received.Id);
        journal.Begin(generation, clean);
        for (int i = 0; i < maps.Length; i++)
        {
            (int place, _) = journal.Add((UInt128)i + 1, (uint)i, (uint)i + 100, maps[i]);
            journal.SetFile(place, (ulong)i + 7, -i);
        }

        return journal.End().ToArray();
    }

    private static JournalState? Decode(byte[] slot) => new ResumeJournal(Received.Id).Decode(slot);

    [Fact]
    public void Every_slot_reads_back_as_written() =>
        Gen.Select(AnyMap.Array[0, 5], Gen.ULong, Gen.Bool).Sample((maps, generation, clean) =>
    {
        JournalState state = Decode(Slot(generation, clean, maps))!;
        Assert.Equal((generation, clean, maps.Length), (state.Generation, state.IsClean, state.Records.Count));
        for (int i = 0; i < maps.Length; i++)
        {
            JournalRecord record = state.Records[i];
            Assert.Equal(((UInt128)i + 1, (uint)i, (uint)i + 100), (record.Key, record.EntryId, record.Serial));
            Assert.Equal(((ulong)i + 7, (long)-i), (record.FileId, record.Changed));
            ChunkMap map = record.ToMap();
            Assert.Equal(maps[i].ClaimCount, map.ClaimCount);
            Assert.False(map.Count > 0 && map.IsComplete); // claimed, not present
            for (long chunk = 0; chunk < map.Count; chunk++)
            {
                Assert.Equal(maps[i].IsClaimed(chunk), map.IsClaimed(chunk));
                if (map.BeginVerify(chunk, out _) is { } digest) Assert.Equal((UInt128)chunk * 1234567, digest);
            }
        }
    }, iter: 300);

    [Fact]
    public void A_slot_cut_anywhere_is_none()
    {
        byte[] slot = Slot(3, true, Map(100, 10, 1, 5), Map(64, 1, 0, 63), Map(0, 1));
        Assert.NotNull(Decode(slot));
        for (int length = 0; length < slot.Length; length++) Assert.Null(Decode(slot[..length]));
        Assert.NotNull(Decode([.. slot, 1, 2, 3])); // room to grow
    }

    [Fact]
    public void A_slot_with_any_bit_flipped_is_none()
    {
        byte[] slot = Slot(3, true, Map(100, 10, 1, 5), Map(64, 1, 0, 63));
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
        byte[] old = Slot(1, false, Map(1000, 10, [.. Enumerable.Range(0, 50)]));
        byte[] fresh = Slot(3, false, Map(1000, 10, [.. Enumerable.Range(0, 100)]));
        for (int at = 0; at <= fresh.Length; at++)
        {
            byte[] torn = [.. fresh[..at], .. old.AsSpan(Math.Min(at, old.Length))];
            JournalState? state = Decode(torn);
            if (at == fresh.Length) Assert.Equal(3ul, state!.Generation);
            else if (at == 0) Assert.Equal(1ul, state!.Generation);
            // equal bytes on both sides of the cut may still make a whole slot, but only ever one of the two
            else Assert.True(state is null || torn.AsSpan().StartsWith(old) || torn.AsSpan().StartsWith(fresh));
        }
    }

    [Fact]
    public void A_journal_of_another_transfer_is_none() =>
        Assert.Null(new ResumeJournal(new TransferId(1)).Decode(Slot(3, true)));

    [Fact]
    public void Hostile_bytes_with_a_valid_checksum_never_throw_and_take_no_memory()
    {
        byte[] slot = Slot(3, true, Map(100, 10, 1, 5));
        Gen<byte> value = Gen.OneOf(Gen.Byte, Gen.Const((byte)0xFF), Gen.Const((byte)0x7F));
        Gen.Select(Gen.Int[8, slot.Length - 17], value).Array[1, 8].Sample(changes =>
        {
            byte[] hostile = [.. slot];
            foreach ((int at, byte changed) in changes) hostile[at] = changed;
            byte[] checksum = System.IO.Hashing.XxHash128.Hash(hostile.AsSpan(0, hostile.Length - 16));
            checksum.CopyTo(hostile, hostile.Length - 16);
            long before = GC.GetAllocatedBytesForCurrentThread();
            JournalState? state = Decode(hostile);
            foreach (JournalRecord record in state?.Records ?? []) record.ToMap();
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
