using System.Collections.Concurrent;
using System.IO.Hashing;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>What every implementation of the file system has to keep; subclasses choose it.</summary>
public abstract class ReceiveStoreTests : IDisposable
{
    private protected const int Chunk = 1 << 16;
    private protected readonly TemporaryFolder Folder = new();
    private protected readonly ConcurrentQueue<PublishOutcome> Outcomes = new();

    private protected abstract IStorageSystem Storage { get; }

    private protected string StagingPath => Folder[".fastshare-" + Received.Id];

    private protected ReceiveStore Open(bool replace = false, long quota = long.MaxValue) =>
        ReceiveStore.Open(Folder.Path, Received.Id, new ReceiveStoreOptions
        {
            Replace = replace,
            Quota = quota,
            Storage = Storage,
            Published = Outcomes.Enqueue,
        });

    public void Dispose()
    {
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Chunk)]
    [InlineData(Chunk + 1)]
    [InlineData(3 << 20)]
    public async Task A_file_arrives_whole_under_its_name_and_staging_is_gone(int size)
    {
        byte[] content = Received.Content(size, size);
        await using (ReceiveStore store = Open())
        {
            store.Receive(Received.File(0, "a/b/file.bin", size), content, Chunk);
            Assert.Empty(store.Finish());
            store.DiscardStaging();
        }

        Assert.Equal(content, File.ReadAllBytes(Folder["a/b/file.bin"]));
        Assert.Equal(["a/b/file.bin"], Folder.Files());
        Assert.Null(Assert.Single(Outcomes).Error);
        Assert.False(Directory.Exists(StagingPath));
    }

    [Fact]
    public async Task No_name_shows_before_it_is_published()
    {
        byte[] content = Received.Content(1, 3 * Chunk);
        await using ReceiveStore store = Open();
        using ReceiveFile file = store.OpenFile(Received.File(0, "x", content.Length), Chunk);
        Assert.False(file.IsComplete);
        file.WriteChunk(content, 2, Chunk);
        file.WriteChunk(content, 0, Chunk);
        store.Checkpoint();
        Assert.Throws<InvalidOperationException>(() => file.Publish());
        Assert.All(Folder.Files(), path => Assert.StartsWith(".fastshare-", path, StringComparison.Ordinal));
        file.WriteChunk(content, 1, Chunk);
        Assert.True(file.IsComplete);
        file.Publish();
        store.PublishPending();
        Assert.Equal(content, File.ReadAllBytes(Folder["x"]));
    }

    [Fact]
    public async Task The_root_digest_covers_the_chunk_digests_in_order()
    {
        byte[] content = Received.Content(2, 2 * Chunk + 5);
        await using ReceiveStore store = Open();
        using ReceiveFile file = store.OpenFile(Received.File(0, "x", content.Length), Chunk);
        Assert.Equal(3, file.ChunkCount);
        foreach (long i in (long[])[1, 2, 0]) file.WriteChunk(content, i, Chunk);
        byte[] digests = [.. content.Chunk(Chunk).SelectMany(chunk => XxHash128.Hash(chunk))];
        Assert.Equal(XxHash128.HashToUInt128(digests), file.RootDigest());
    }

    [Fact]
    public async Task A_duplicate_or_misfit_chunk_writes_nothing()
    {
        byte[] content = Received.Content(3, 2 * Chunk + 5);
        await using ReceiveStore store = Open();
        using ReceiveFile file = store.OpenFile(Received.File(0, "x", content.Length), Chunk);
        Assert.True(file.WriteChunk(content, 0, Chunk));
        Assert.False(file.WriteChunk(0, new byte[Chunk], 0));
        (long, int)[] misfits =
            [(-1, Chunk), (3, Chunk), (long.MaxValue, 1), (1, Chunk - 1), (1, 0), (1, Chunk + 1), (2, 6), (2, Chunk)];
        foreach ((long index, int length) in misfits)
        {
            var e = Assert.Throws<TransferException>(() => file.WriteChunk(index, new byte[length], 0));
            Assert.Equal(TransferError.ProtocolViolation, e.Error);
            Assert.Equal("x", e.Path);
        }

        Assert.Equal(Chunk, file.BytesPresent);
        file.WriteMissing(content, Chunk);
        file.Publish();
        store.PublishPending();
        Assert.Equal(content, File.ReadAllBytes(Folder["x"]));
    }

    [Fact]
    public async Task Chunks_may_come_from_several_threads()
    {
        byte[] content = Received.Content(4, 100 * Chunk + 77);
        await using ReceiveStore store = Open();
        using ReceiveFile file = store.OpenFile(Received.File(0, "x", content.Length), Chunk);
        int written = 0;
        // every chunk is offered twice: only one of each is taken
        Parallel.For(0, 2 * (int)file.ChunkCount, i =>
        {
            if (file.WriteChunk(content, i % file.ChunkCount, Chunk)) Interlocked.Increment(ref written);
        });
        Assert.Equal(file.ChunkCount, written);
        Assert.True(file.IsComplete);
        file.Publish();
        Assert.Equal(content, File.ReadAllBytes(Folder["x"]));
    }

    [Fact]
    public async Task An_existing_file_is_kept_and_found_equal_only_by_size_and_time()
    {
        Folder.Write("mine", "own"u8);
        await using ReceiveStore store = Open();
        ManifestEntry entry = Received.File(0, "mine", 3);
        Assert.False(store.TryGetExisting(entry));
        var e = Assert.Throws<TransferException>(() => store.OpenFile(entry, Chunk));
        Assert.Equal(TransferError.DestinationExists, e.Error);
        Assert.Equal("mine", e.Path);
        Assert.Equal("own"u8, File.ReadAllBytes(Folder["mine"]));

        store.Receive(Received.File(1, "theirs", 3), "abc"u8.ToArray());
        store.PublishPending();
        Assert.True(store.TryGetExisting(Received.File(1, "theirs", 3)));
        Assert.False(store.TryGetExisting(Received.File(1, "theirs", 4)));
        Assert.False(store.TryGetExisting(Received.File(1, "theirs", 3, time: Received.Time + 5_000_000_000)));
        Assert.False(store.TryGetExisting(Received.File(1, "nobody/theirs", 3)));
    }

    [Fact]
    public async Task A_name_taken_while_receiving_fails_that_file_alone_and_keeps_its_data()
    {
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Received.File(0, "a", 3), Chunk);
            file.WriteMissing("new"u8.ToArray(), Chunk);
            Folder.Write("a", "old"u8);
            file.Publish();
            store.Receive(Received.File(1, "b", 3), "too"u8.ToArray());
            store.PublishPending();
            Assert.Equal(TransferError.DestinationExists, Assert.Single(Outcomes, outcome => outcome.Entry.Path == "a").Error?.Error);
            Assert.Null(Assert.Single(Outcomes, outcome => outcome.Entry.Path == "b").Error);
            Assert.Null(store.Fault);
        }

        Assert.Equal("old"u8, File.ReadAllBytes(Folder["a"]));
        File.Delete(Folder["a"]);
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(Received.File(0, "a", 3), 1 << 16);
            Assert.True(file.HasChunk(0)); // nothing has to be sent again
            file.Publish();
            store.PublishPending();
        }

        Assert.Equal("new"u8, File.ReadAllBytes(Folder["a"]));
    }

    [Fact]
    public async Task Replacing_is_a_choice()
    {
        Folder.Write("a", "old"u8);
        Directory.CreateDirectory(Folder["folder"]);
        await using ReceiveStore store = Open(replace: true);
        store.Receive(Received.File(0, "a", 3), "new"u8.ToArray());
        Failing.With(TransferError.DestinationExists, () => store.OpenFile(Received.File(1, "folder", 3), Chunk));
        store.PublishPending();
        Assert.Equal("new"u8, File.ReadAllBytes(Folder["a"]));
    }

    [Fact]
    public async Task A_file_where_a_folder_is_needed_fails_what_is_below_it()
    {
        Folder.Write("a", "file"u8);
        await using ReceiveStore store = Open();
        Failing.With(TransferError.DestinationExists, () => store.OpenFile(Received.File(0, "a/b", 3), Chunk));
        Failing.With(TransferError.DestinationExists, () => store.CreateDirectory(Received.Folder(1, "a")));
        Assert.Equal("file"u8, File.ReadAllBytes(Folder["a"]));
    }

    [Fact]
    public async Task A_second_receiver_of_the_transfer_is_told_so()
    {
        await using (ReceiveStore store = Open())
        {
            Failing.With(TransferError.AlreadyReceiving, () => Open());
            using ReceiveFile file = store.OpenFile(Received.File(0, "a", 3), Chunk);
        }

        await using ReceiveStore after = Open();
        await using ReceiveStore other = ReceiveStore.Open(Folder.Path, new TransferId(7), new ReceiveStoreOptions { Storage = Storage });
    }

    [Fact]
    public async Task Of_two_transfers_to_one_name_the_first_published_wins()
    {
        await using ReceiveStore first = Open();
        await using ReceiveStore second = ReceiveStore.Open(
            Folder.Path, new TransferId(7), new ReceiveStoreOptions { Storage = Storage, Published = Outcomes.Enqueue });
        using ReceiveFile two = second.OpenFile(Received.File(0, "a", 3), Chunk);
        two.WriteMissing("two"u8.ToArray(), Chunk);
        first.Receive(Received.File(0, "a", 3), "one"u8.ToArray());
        first.PublishPending();
        two.Publish();
        second.PublishPending();
        Assert.Equal("one", File.ReadAllText(Folder["a"]));
        Assert.Single(Outcomes, outcome => outcome.Error?.Error == TransferError.DestinationExists);
        Assert.Single(Outcomes, outcome => outcome.Error is null);
    }

    [Fact]
    public void Quota_and_space_are_checked_before_anything_is_made()
    {
        string deep = Folder["not/yet/there"];
        foreach (ReceiveStoreOptions options in (ReceiveStoreOptions[])
            [
                new() { Storage = Storage, Quota = 99, ExpectedBytes = 100 },
                new() { Storage = Storage, ExpectedBytes = long.MaxValue },
                new() { Storage = new FaultyStorage(Storage) { Free = 99 }, ExpectedBytes = 100 },
            ])
        {
            var e = Assert.Throws<TransferException>(() => ReceiveStore.Open(deep, Received.Id, options));
            Assert.Equal(TransferError.StorageFull, e.Error);
            Assert.Empty(Directory.EnumerateFileSystemEntries(Folder.Path));
        }
    }

    [Fact]
    public async Task Bytes_learnt_later_count_against_the_quota_too()
    {
        await using ReceiveStore store = Open(quota: 100);
        store.Expect(60);
        Failing.With(TransferError.StorageFull, () => store.Expect(41));
        store.Expect(40);
        Failing.With(TransferError.StorageFull, () => store.Expect(long.MaxValue));
    }

    [Fact]
    public async Task A_giant_file_takes_neither_memory_nor_disk_before_its_bytes_arrive()
    {
        await using ReceiveStore store = ReceiveStore.Open(
            Folder.Path, Received.Id, new ReceiveStoreOptions { Storage = new FaultyStorage(Storage) { Free = long.MaxValue } });
        long before = GC.GetAllocatedBytesForCurrentThread();
        using ReceiveFile file = store.OpenFile(Received.File(0, "giant", 16L << 40), 1 << 20);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 5 << 20);
        Assert.Empty(Directory.GetFiles(StagingPath, "0*"));
        Failing.With(TransferError.ProtocolViolation, () => store.OpenFile(Received.File(1, "more", long.MaxValue), 1 << 16));
    }

    [Fact]
    public async Task Names_in_many_scripts_arrive_as_they_are()
    {
        string[] names =
        [
            "Ünïcödé", "файл.txt", "文件/数据.bin", "ファイル", "ملف", "קובץ", "फ़ाइल", "🎉🚀.png", "👨‍👩‍👧",
            "e\u0301 decomposed", " leading space",
            "new (1) [copy] {x} 'q' $HOME `id` *?<>|\"", "-rf", "~", "#", "%2e%2e", "...x", "a..b", new string('x', 255),
            new string('é', 127),
        ];
        await using ReceiveStore store = Open();
        for (int i = 0; i < names.Length; i++)
        {
            store.Receive(Received.File((uint)i, names[i], names[i].Length), Received.Content(i, names[i].Length));
        }

        store.Finish();
        for (int i = 0; i < names.Length; i++) Assert.Equal(Received.Content(i, names[i].Length), File.ReadAllBytes(Folder[names[i]]));
    }

    [Fact]
    public async Task Discard_starts_a_file_anew()
    {
        byte[] content = Received.Content(5, 3 * Chunk);
        await using ReceiveStore store = Open();
        ManifestEntry entry = Received.File(0, "a", content.Length);
        using (ReceiveFile file = store.OpenFile(entry, Chunk))
        {
            file.WriteChunk(content, 0, Chunk);
            Assert.Throws<InvalidOperationException>(() => store.OpenFile(entry, Chunk));
            file.Discard();
        }

        using ReceiveFile again = store.OpenFile(entry, Chunk);
        Assert.False(again.HasChunk(0));
        Assert.Equal(3, again.WriteMissing(content, Chunk));
    }

    [Fact]
    public async Task A_file_closed_early_goes_on_in_the_same_store()
    {
        byte[] content = Received.Content(5, 3 * Chunk);
        await using ReceiveStore store = Open();
        ManifestEntry entry = Received.File(0, "a", content.Length);
        using (ReceiveFile file = store.OpenFile(entry, Chunk)) file.WriteChunk(content, 1, Chunk);
        store.Checkpoint();
        using ReceiveFile again = store.OpenFile(entry, Chunk);
        Assert.True(again.HasChunk(1));
        Assert.Equal(2, again.WriteMissing(content, Chunk));
        again.Publish();
        store.Finish();
        Assert.Equal(content, File.ReadAllBytes(Folder["a"]));
    }

    [Fact]
    public async Task Thousands_of_small_files_arrive()
    {
        // without a sync for many files at once each costs a sync of its own
        int count = Storage.CanSyncFileSystem ? 10_000 : 200;
        byte[] content = Received.Content(6, 100);
        await using (ReceiveStore store = Open())
        {
            for (uint i = 0; i < count; i++) store.Receive(Received.File(i, $"d{i % 100}/f{i}", content.Length), content);
            store.Finish();
            store.DiscardStaging();
        }

        Assert.Equal(count, Outcomes.Count(outcome => outcome.Error is null));
        Assert.Equal(count, Folder.Files().Length);
        Assert.Equal(content, File.ReadAllBytes(Folder["d42/f142"]));
    }

    [Fact]
    public async Task Folders_keep_time_and_mode_only_if_this_transfer_made_them()
    {
        Directory.CreateDirectory(Folder["mine"]);
        DateTime mine = DateTime.UnixEpoch.AddDays(1);
        Directory.SetLastWriteTimeUtc(Folder["mine"], mine);
        await using (ReceiveStore store = Open())
        {
            store.CreateDirectory(Received.Folder(0, "mine"));
            store.CreateDirectory(Received.Folder(1, "new"));
            store.CreateDirectory(Received.Folder(2, "new/deep"));
            Directory.SetLastWriteTimeUtc(Folder["mine"], mine);
            using ReceiveFile file = store.OpenFile(Received.File(4, "new/deep/f", Chunk + 1), Chunk);
            file.WriteChunk(Received.Content(0, Chunk + 1), 0, Chunk);
        }

        // resumed: the folders of the first run are still this transfer's
        await using (ReceiveStore store = Open())
        {
            store.CreateDirectory(Received.Folder(0, "mine"));
            store.CreateDirectory(Received.Folder(1, "new"));
            store.CreateDirectory(Received.Folder(2, "new/deep"));
            store.Receive(Received.File(4, "new/deep/f", Chunk + 1), Received.Content(0, Chunk + 1), Chunk);
            store.Finish();
            store.DiscardStaging();
        }

        Assert.Equal(mine, Directory.GetLastWriteTimeUtc(Folder["mine"]));
        DateTime expected = DateTime.UnixEpoch.AddTicks(Received.Time / 100);
        Assert.Equal(expected, Directory.GetLastWriteTimeUtc(Folder["new"]));
        Assert.Equal(expected, Directory.GetLastWriteTimeUtc(Folder["new/deep"]));
    }
}

public sealed class LinuxReceiveStoreTests : ReceiveStoreTests
{
    public LinuxReceiveStoreTests() => Assert.SkipUnless(LinuxCalls.IsSupported, "needs Linux on x64 or Arm64");

    private protected override IStorageSystem Storage { get; } = new LinuxStorage();
}

public sealed class PortableReceiveStoreTests : ReceiveStoreTests
{
    private protected override IStorageSystem Storage { get; } = new PortableStorage();
}
