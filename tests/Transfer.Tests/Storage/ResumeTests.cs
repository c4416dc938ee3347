using System.Collections.Concurrent;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>Stopping in all ways, and going on.</summary>
public sealed class ResumeTests : IDisposable
{
    private const int Chunk = 1 << 16;
    private readonly TemporaryFolder _folder = new();
    private readonly byte[] _content = Received.Content(1, 20 * Chunk + 5);
    private readonly List<ReceiveStore> _killed = [];

    private ManifestEntry Entry => Received.File(4, "d/file", _content.Length);

    private string StagingPath => _folder[".fastshare-" + Received.Id];

    public void Dispose() => _folder.Dispose();

    private ReceiveStore Open(
        IStorageSystem? storage = null, long checkpointBytes = 64 << 20, TimeProvider? time = null,
        Action<PublishOutcome>? published = null) =>
        ReceiveStore.Open(_folder.Path, Received.Id, new ReceiveStoreOptions
        {
            Storage = storage ?? new ReceiveStoreOptions().Storage,
            CheckpointBytes = checkpointBytes,
            TimeProvider = time ?? new FakeTimeProvider(),
            Published = published,
        });

    /// <summary>
    /// What a killed process leaves: the folder as it is at this moment, under the same name, while the store that wrote it is cut
    /// off in the old one.
    /// </summary>
    private void Kill(ReceiveStore store)
    {
        _killed.Add(store);
        string copy = _folder.Path + "-copy";
        Copy(_folder.Path, copy);
        string old = _folder.Path + "-old" + _killed.Count;
        Directory.Move(_folder.Path, old);
        Directory.Move(copy, _folder.Path);
        store.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Directory.Delete(old, recursive: true);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        TemporaryFolder.SetMode(to, TemporaryFolder.ModeOf(from));
        foreach (string folder in Directory.EnumerateDirectories(from)) Copy(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.EnumerateFiles(from))
        {
            string name = Path.GetFileName(file);
            if (name != "lock") File.Copy(file, Path.Combine(to, name)); // held, and empty anyway
        }
    }

    private string DataFile() => Assert.Single(Directory.GetFiles(StagingPath, "0*"));

    [Fact]
    public async Task After_a_clean_stop_nothing_is_sent_again_but_all_is_verified()
    {
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
            for (int i = 0; i < 15; i++) file.WriteChunk(_content, i, Chunk);
        }

        var counting = new FaultyStorage(new ReceiveStoreOptions().Storage);
        await using ReceiveStore resumed = Open(counting);
        Assert.Equal(15 * Chunk, resumed.BytesClaimed);
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        Assert.Equal((0, 15), (again.BytesPresent, again.UnverifiedCount));
        int reads = counting.Calls.Count(call => call == "Read"); // opening reads the journal, and no data
        for (int i = 0; i < 21; i++) Assert.Equal(i < 15, again.HasChunk(i));
        Assert.Equal(reads + 15, counting.Calls.Count(call => call == "Read"));
        Assert.Equal((15 * Chunk, 0), (again.BytesPresent, again.UnverifiedCount));
        again.WriteMissing(_content, Chunk);
        again.Publish();
        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
    }

    [Fact]
    public async Task After_a_kill_what_a_checkpoint_covers_is_verified_and_kept()
    {
        ReceiveStore store = Open();
        ReceiveFile file = store.OpenFile(Entry, Chunk);
        for (int i = 0; i < 10; i++) file.WriteChunk(_content, i, Chunk);
        store.Checkpoint();
        for (int i = 10; i < 15; i++) file.WriteChunk(_content, i, Chunk);
        Kill(store);

        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        Assert.Equal(0, again.BytesPresent); // claimed only
        Assert.True(again.IsClaimed(9));
        Assert.False(again.IsClaimed(10)); // written, but in no slot
        Assert.False(again.IsComplete);
        Assert.Equal(11, again.WriteMissing(_content, Chunk));
        Assert.True(again.IsComplete);
        again.Publish();
        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
    }

    [Fact]
    public async Task A_claim_the_disk_does_not_keep_is_asked_for_again()
    {
        ReceiveStore store = Open();
        ReceiveFile file = store.OpenFile(Entry, Chunk);
        file.WriteMissing(_content, Chunk);
        store.Checkpoint();
        Kill(store);
        // what a power cut, a bad disk or a neighbour may do to the data
        using (FileStream data = File.OpenWrite(DataFile()))
        {
            data.Position = 3 * Chunk + 17;
            data.WriteByte((byte)~_content[3 * Chunk + 17]);
            data.SetLength(19 * Chunk + 1);
        }

        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        Assert.Equal(Enumerable.Range(0, 21).Except([3, 19, 20]), Enumerable.Range(0, 21).Where(i => again.HasChunk(i)));
        Assert.Equal(3, again.WriteMissing(_content, Chunk));
        again.Publish();
        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
    }

    [Fact]
    public async Task Data_changed_after_a_clean_stop_is_noticed()
    {
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
            file.WriteMissing(_content, Chunk);
        }

        DateTime before = File.GetLastWriteTimeUtc(DataFile());
        using (FileStream data = File.OpenWrite(DataFile())) data.WriteByte((byte)~_content[0]);
        File.SetLastWriteTimeUtc(DataFile(), before);
        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        Assert.False(again.HasChunk(0));
        Assert.True(again.HasChunk(1));
    }

    [Fact]
    public async Task A_file_of_another_plan_starts_anew()
    {
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
            file.WriteMissing(_content, Chunk);
        }

        foreach (ManifestEntry changed in (ManifestEntry[])
            [Entry with { Size = _content.Length + 1 }, Entry with { ModifiedUnixNanoseconds = 1 }, Entry with { Path = "d/other" }])
        {
            await using ReceiveStore store = Open();
            using ReceiveFile file = store.OpenFile(changed, Chunk);
            Assert.False(file.IsClaimed(0));
        }

        await using ReceiveStore other = Open();
        using (ReceiveFile file = other.OpenFile(Entry, 2 * Chunk)) Assert.False(file.IsClaimed(0));
        // the entry itself is found under whatever id the new manifest gives it
        using ReceiveFile same = other.OpenFile(Entry with { Id = 77 }, Chunk);
        Assert.True(same.HasChunk(20));
    }

    [Fact]
    public async Task Held_batches_publish_nothing_until_they_are_released_and_a_stop_keeps_them()
    {
        const int Files = 600; // more than two batches
        await using (ReceiveStore store = Open())
        {
            store.HoldBatches();
            for (uint id = 0; id < Files; id++) store.Receive(Received.File(id, $"small{id}", 3), "abc"u8.ToArray());
            store.PublishPending();
            Assert.Equal(Files, store.PendingCount);
        }

        Assert.DoesNotContain(_folder.Files(), path => path.StartsWith("small", StringComparison.Ordinal));
        await using ReceiveStore resumed = Open();
        resumed.HoldBatches();
        for (uint id = 0; id < Files; id++)
        {
            using ReceiveFile file = resumed.OpenFile(Received.File(id, $"small{id}", 3), Chunk);
            Assert.True(file.HasChunk(0));
            Assert.False(file.Publish(leavesBatch: true));
        }

        Assert.True(resumed.ReleaseBatches());
        Assert.False(resumed.ReleaseBatches());
        resumed.PublishPending();
        Assert.Equal(0, resumed.PendingCount);
        Assert.Equal(Files, _folder.Files().Count(path => path.StartsWith("small", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Published_and_unfinished_files_resume_side_by_side()
    {
        ReceiveStore store = Open();
        store.Receive(Received.File(0, "small", 3), "abc"u8.ToArray());
        store.PublishPending();
        store.Receive(Received.File(1, "waiting", 3), "def"u8.ToArray()); // complete, in no batch yet
        ReceiveFile file = store.OpenFile(Entry, Chunk);
        file.WriteChunk(_content, 7, Chunk);
        store.Checkpoint();
        Kill(store);

        await using ReceiveStore resumed = Open();
        Assert.True(resumed.TryGetExisting(Received.File(0, "small", 3)));
        Assert.False(resumed.TryGetExisting(Received.File(1, "waiting", 3)));
        using ReceiveFile waiting = resumed.OpenFile(Received.File(1, "waiting", 3), Chunk);
        Assert.True(waiting.HasChunk(0)); // the checkpoint covered it
        waiting.Publish();
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        Assert.Equal(20, again.WriteMissing(_content, Chunk));
        again.Publish();
        resumed.Finish();
        Assert.Equal("def"u8, File.ReadAllBytes(_folder["waiting"]));
    }

    [Theory]
    [InlineData("journal-a")]
    [InlineData("journal-b")]
    [InlineData("both")]
    public async Task A_torn_slot_costs_what_it_claimed_and_no_more(string torn)
    {
        ReceiveStore store = Open();
        ReceiveFile file = store.OpenFile(Entry, Chunk);
        for (int i = 0; i < 12; i++)
        {
            file.WriteChunk(_content, i, Chunk);
            store.Checkpoint();
        }

        Kill(store);
        foreach (string name in JournalFiles.SlotNames)
        {
            if (torn != name && torn != "both") continue;
            using FileStream journal = File.OpenWrite(Path.Combine(StagingPath, name));
            journal.SetLength(100); // into its only record
        }

        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(Entry, Chunk);
        int had = 21 - again.WriteMissing(_content, Chunk);
        if (torn == "both") Assert.Equal(0, had);
        else Assert.InRange(had, 11, 12);
        again.Publish();
        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
    }

    [Fact]
    public async Task Rubbish_in_staging_is_cleared_and_what_is_not_ours_is_left()
    {
        Directory.CreateDirectory(StagingPath);
        string foreign = Path.Combine(StagingPath, "somebody's");
        foreach (string name in (string[])["00000004.00000009", "journal-a", "folders"])
        {
            File.WriteAllBytes(Path.Combine(StagingPath, name), Received.Content(9, 1000));
        }

        File.WriteAllText(foreign, "x");
        await using (ReceiveStore store = Open())
        {
            Assert.False(File.Exists(Path.Combine(StagingPath, "00000004.00000009")));
            store.Receive(Entry, _content, Chunk);
            store.Finish();
            store.DiscardStaging();
        }

        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
        Assert.Equal("x", File.ReadAllText(foreign));
        Assert.Equal([foreign], Directory.GetFileSystemEntries(StagingPath));
    }

    [Fact]
    public async Task Links_planted_in_staging_are_not_written_through()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a privilege");
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
            file.WriteChunk(_content, 0, Chunk);
        }

        string victim = _folder.Write("victim", "precious"u8);
        string data = DataFile();
        File.Delete(data);
        File.CreateSymbolicLink(data, victim);
        File.Delete(Path.Combine(StagingPath, "journal-a"));
        File.CreateSymbolicLink(Path.Combine(StagingPath, "journal-a"), victim);
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
            Assert.False(file.IsClaimed(0));
            file.WriteMissing(_content, Chunk);
            file.Publish();
        }

        Assert.Equal("precious"u8, File.ReadAllBytes(victim));
        Assert.Equal(_content, File.ReadAllBytes(_folder["d/file"]));
    }

    [Fact]
    public async Task A_store_with_nothing_to_resume_leaves_nothing_behind()
    {
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Entry, Chunk);
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public async Task Writers_never_get_further_ahead_of_the_journal_than_the_limit()
    {
        await using ReceiveStore store = Open(checkpointBytes: 4 * Chunk);
        using ReceiveFile file = store.OpenFile(Entry, Chunk);
        // The last chunk is a short one, which is not counted as a whole.
        for (int i = 0; i < 20; i++)
        {
            file.WriteChunk(_content, i, Chunk);
            Assert.InRange(i + 1 - Recorded(), 0, 3);
        }
    }

    /// <summary>Chunks that a kill right now would leave claimed: those of the newest slot of the two.</summary>
    private long Recorded()
    {
        var journal = new ResumeJournal(Received.Id);
        byte[] Read(string name) => ReadShared(Path.Combine(StagingPath, name));
        while (true)
        {
            byte[] a = Read(JournalFiles.SlotNames[0]), b = Read(JournalFiles.SlotNames[1]);
            // both may be written meanwhile, but one at a time
            if (!a.AsSpan().SequenceEqual(Read(JournalFiles.SlotNames[0]))) continue;
            JournalSlot slot = new[] { journal.Decode(a), journal.Decode(b) }.OfType<JournalSlot>().MaxBy(slot => slot.Generation)!;
            byte[] log = Read($"journal-log.{slot.Log:x8}")[..(int)slot.LogLength];
            var files = new Dictionary<uint, JournalFile>();
            Assert.True(ResumeJournal.TryReplay(log, files) && ResumeJournal.TryReplay(slot.Tail, files));
            return files.Values.Sum(file => file.ToMap().ClaimCount);
        }
    }

    [Fact]
    public async Task Time_alone_makes_a_checkpoint_and_publishes_the_batch()
    {
        var time = new FakeTimeProvider();
        var outcomes = new BlockingCollection<PublishOutcome>();
        await using ReceiveStore store = Open(time: time, published: outcomes.Add);
        ReceiveFile file = store.OpenFile(Entry, Chunk);
        file.WriteChunk(_content, 0, Chunk);
        store.Receive(Received.File(0, "small", 3), "abc"u8.ToArray());
        Assert.False(File.Exists(_folder["small"]) && LinuxCalls.IsSupported);
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(outcomes.TryTake(out PublishOutcome outcome, TimeSpan.FromSeconds(4)));
        Assert.Null(outcome.Error);
        Assert.Equal("abc"u8, File.ReadAllBytes(_folder["small"]));
    }

    [Fact]
    public async Task A_full_batch_is_published_at_once()
    {
        var outcomes = new ConcurrentQueue<PublishOutcome>();
        await using ReceiveStore store = Open(published: outcomes.Enqueue);
        for (uint i = 0; i < 256; i++)
        {
            Assert.True(outcomes.IsEmpty || !LinuxCalls.IsSupported);
            store.Receive(Received.File(i, $"f{i}", 3), "abc"u8.ToArray());
        }

        Assert.Equal(256, outcomes.Count);
    }

    [Fact]
    public async Task Finish_waits_for_a_batch_that_another_thread_is_publishing()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "no batches elsewhere");
        using var syncing = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        var outcomes = new ConcurrentQueue<PublishOutcome>();
        var storage = new FaultyStorage(new ReceiveStoreOptions().Storage)
        {
            Fail = (name, _) =>
            {
                if (name != "SyncFileSystem") return null;
                syncing.Set();
                goOn.Wait();
                return null;
            },
        };
        await using ReceiveStore store = Open(storage, published: outcomes.Enqueue);
        store.Receive(Received.File(0, "small", 3), "abc"u8.ToArray());
        Task publishing = Task.Run(store.PublishPending);
        syncing.Wait();
        Task finishing = Task.Run(() =>
        {
            store.Finish();
            Assert.Null(Assert.Single(outcomes).Error);
            store.DiscardStaging();
        });
        goOn.Set();
        await Task.WhenAll(publishing, finishing);
        Assert.Equal("abc"u8, File.ReadAllBytes(_folder["small"]));
    }

    [Fact]
    public async Task Staging_nobody_went_on_with_is_collected_and_nothing_else()
    {
        string Other(string digit) => _folder[".fastshare-" + string.Concat(Enumerable.Repeat(digit, 32))];
        await using ReceiveStore live = Open();
        using ReceiveFile file = live.OpenFile(Entry, Chunk);
        file.WriteChunk(_content, 0, Chunk);
        foreach (string digit in (string[])["1", "2"])
        {
            Directory.CreateDirectory(Other(digit));
            foreach (string name in (string[])["lock", "journal-a", "journal-b", "00000001.00000002"])
            {
                File.WriteAllText(Path.Combine(Other(digit), name), "x");
            }
        }

        _folder.Write("mine/x", "x"u8);
        string[] alike = [".fastshare-", ".fastshare-1234", ".fastshare-" + new string('G', 32), ".fastshare-" + new string('1', 33)];
        foreach (string name in alike) _folder.Write(name + "/journal-a", "x"u8);
        foreach (string inside in Directory.GetFileSystemEntries(Other("1")).Append(Other("1"))) SetTime(inside, TimeSpan.FromDays(-8));
        foreach (string inside in Directory.GetFileSystemEntries(Other("2"))) SetTime(inside, TimeSpan.FromDays(-8));
        SetTime(Path.Combine(Other("2"), "journal-b"), TimeSpan.FromDays(-6));
        SetTime(Other("2"), TimeSpan.FromDays(-8));

        Assert.Equal(1, ReceiveStore.CollectAbandoned(_folder.Path, TimeSpan.FromDays(7), new ReceiveStoreOptions()));
        Assert.False(Directory.Exists(Other("1")));
        Assert.Equal(4, Directory.GetFiles(Other("2")).Length);
        Assert.All(alike, name => Assert.True(File.Exists(_folder[name + "/journal-a"])));
        // old, but in somebody's hands
        Assert.Equal(1, ReceiveStore.CollectAbandoned(_folder.Path, TimeSpan.FromDays(-1), new ReceiveStoreOptions()));
        Assert.True(Directory.Exists(StagingPath));
        file.WriteMissing(_content, Chunk);
        file.Publish();

        static void SetTime(string path, TimeSpan ago)
        {
            if (Directory.Exists(path)) Directory.SetLastWriteTimeUtc(path, DateTime.UtcNow + ago);
            else File.SetLastWriteTimeUtc(path, DateTime.UtcNow + ago);
        }
    }

    private static byte[] ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
