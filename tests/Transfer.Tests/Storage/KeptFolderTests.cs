using System.Collections.Concurrent;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>Folders are kept open while a batch is published and while names are looked at; who changes them meanwhile does no harm.</summary>
public sealed class KeptFolderTests : IDisposable
{
    private const int Chunk = 1 << 16;
    private readonly TemporaryFolder _folder = new();
    private readonly ConcurrentQueue<PublishOutcome> _outcomes = new();
    private readonly FaultyStorage _storage = new(new ReceiveStoreOptions().Storage);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_folder_removed_while_its_batch_is_published_is_made_again()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "elsewhere no folder is kept open");
        await using ReceiveStore store = Open();
        int renames = 0;
        _storage.Fail = (call, _) =>
        {
            if (call == "Rename" && ++renames == 2) Directory.Delete(_folder["a"], recursive: true);
            return null;
        };
        for (uint id = 0; id < 3; id++) store.Receive(Received.File(id, $"a/{id}", 3), "abc"u8.ToArray());
        store.PublishPending();
        Assert.All(_outcomes, outcome => Assert.Null(outcome.Error));
        Assert.Equal(3, _outcomes.Count);
        Assert.Equal(["a/1", "a/2"], _folder.Files().Where(static path => path[0] != '.').Order(StringComparer.Ordinal));
        Assert.Empty(store.Finish());
    }

    [Fact]
    public async Task A_batch_opens_each_folder_once_however_its_files_are_mixed()
    {
        Assert.SkipUnless(_storage.CanSyncFileSystem, "elsewhere each file is published by itself");
        await using ReceiveStore store = Open();
        for (uint id = 0; id < 60; id++) store.Receive(Received.File(id, $"{id % 3}/{id}", 1), "a"u8.ToArray());
        store.PublishPending();
        int before = _storage.Calls.Count(static call => call == "OpenFolder");
        for (uint id = 60; id < 120; id++) store.Receive(Received.File(id, $"{id % 3}/{id}", 1), "a"u8.ToArray());
        store.PublishPending();
        // to look into, to see whether it has to be made, to place into, and to sync
        Assert.Equal(12, _storage.Calls.Count(static call => call == "OpenFolder") - before);
        Assert.Equal(120, _outcomes.Count(static outcome => outcome.Error is null));
    }

    [Fact]
    public async Task What_was_missing_when_it_was_looked_at_is_found_once_it_is_published()
    {
        await using ReceiveStore store = Open();
        ManifestEntry entry = Received.File(0, "new/folder/file", 3);
        Assert.False(store.Look(entry, Chunk, believesTime: true, out _));
        store.Receive(entry, "abc"u8.ToArray());
        store.PublishPending();
        Assert.True(store.Look(entry, Chunk, believesTime: true, out _));
    }

    [Fact]
    public async Task Names_in_more_folders_than_are_kept_open_are_all_found()
    {
        await using ReceiveStore store = Open();
        var entries = Enumerable.Range(0, 60).Select(id => Received.File((uint)id, $"{id % 20}/{id}", 1)).ToList();
        foreach (ManifestEntry entry in entries) store.Receive(entry, "a"u8.ToArray());
        store.PublishPending();
        foreach (ManifestEntry entry in entries) Assert.True(store.Look(entry, Chunk, believesTime: true, out _), entry.Path);
    }

    [Fact]
    public async Task Looking_tells_what_is_equal_what_is_staged_and_what_is_in_the_way()
    {
        byte[] content = Received.Content(1, 3 * Chunk);
        ManifestEntry begun = Received.File(0, "begun", content.Length);
        await using (ReceiveStore store = Open())
        {
            using ReceiveFile file = store.OpenFile(begun, Chunk);
            file.WriteChunk(content, 1, Chunk);
            store.Checkpoint();
        }

        File.WriteAllText(_folder["other"], "abc");
        Directory.CreateDirectory(_folder["folder"]);
        await using ReceiveStore again = Open(replace: true);
        Assert.False(again.Look(begun, Chunk, believesTime: true, out long claims));
        Assert.Equal(1, claims);
        Assert.False(again.Look(Received.File(1, "other", 3), Chunk, believesTime: true, out claims));
        Assert.Equal(0, claims);
        Failing.With(TransferError.DestinationExists, () => again.Look(Received.File(2, "folder", 3), Chunk, believesTime: true, out _));
        File.SetLastWriteTimeUtc(_folder["other"], DateTimeOffset.FromUnixTimeSeconds(1_700_000_000).UtcDateTime);
        ManifestEntry equal = Received.File(1, "other", 3, time: 1_700_000_000_000_000_000);
        Assert.True(again.Look(equal, Chunk, believesTime: true, out _));
        Assert.False(again.Look(equal, Chunk, believesTime: false, out _));
    }

    [Fact]
    public async Task A_name_taken_after_it_was_looked_at_is_not_replaced()
    {
        await using ReceiveStore store = Open();
        ManifestEntry entry = Received.File(0, "file", 3);
        Assert.False(store.Look(entry, Chunk, believesTime: true, out _));
        File.WriteAllText(_folder["file"], "somebody's");
        using (ReceiveFile file = store.OpenFile(entry, Chunk, isLookedAt: true))
        {
            file.WriteMissing("abc"u8.ToArray(), Chunk);
            file.Publish();
        }

        store.PublishPending();
        Assert.Equal(TransferError.DestinationExists, Assert.Single(_outcomes).Error?.Error);
        Assert.Equal("somebody's", File.ReadAllText(_folder["file"]));
    }

    [Fact]
    public async Task A_full_batch_that_is_left_to_the_caller_is_told_once()
    {
        Assert.SkipUnless(_storage.CanSyncFileSystem, "elsewhere each file is published by itself");
        await using ReceiveStore store = Open(batch: 4);
        var told = new List<uint>();
        for (uint id = 0; id < 9; id++)
        {
            using ReceiveFile file = store.OpenFile(Received.File(id, $"{id}", 1), Chunk);
            file.WriteMissing("a"u8.ToArray(), Chunk);
            if (file.Publish(leavesBatch: true)) told.Add(id);
        }

        Assert.Empty(_outcomes);
        Assert.Equal([3, 7], told);
        store.PublishPending();
        Assert.Equal(9, _outcomes.Count);
    }

    private ReceiveStore Open(bool replace = false, int batch = 256) => ReceiveStore.Open(_folder.Path, Received.Id, new ReceiveStoreOptions
    {
        Storage = _storage,
        Published = _outcomes.Enqueue,
        Replace = replace,
        BatchFiles = batch,
    });
}
