using System.Collections.Concurrent;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>Every call of the file system fails once: nothing wrong is ever published, and the next run completes.</summary>
public sealed class FaultTests : IDisposable
{
    private const int Chunk = 1 << 16;
    private static readonly byte[] Large = Received.Content(1, (1 << 20) + 3 * Chunk + 5);
    private static readonly byte[] Small = Received.Content(2, 2 * Chunk);
    private readonly TemporaryFolder _folder = new();
    private readonly ConcurrentQueue<PublishOutcome> _outcomes = new();

    private static ManifestEntry[] Entries =>
    [
        Received.Folder(0, "d"),
        Received.File(1, "d/small", Small.Length),
        Received.File(2, "d/large", Large.Length),
        Received.File(3, "empty", 0),
    ];

    public void Dispose() => _folder.Dispose();

    private ReceiveStore Open(IStorageSystem? storage = null, long checkpointBytes = 64 << 20) =>
        ReceiveStore.Open(_folder.Path, Received.Id, new ReceiveStoreOptions
        {
            Storage = storage ?? new ReceiveStoreOptions().Storage,
            TimeProvider = new FakeTimeProvider(),
            Published = _outcomes.Enqueue,
            CheckpointBytes = checkpointBytes,
        });

    private async Task ReceiveAll(IStorageSystem storage)
    {
        await using ReceiveStore store = Open(storage, 8 * Chunk);
        foreach (ManifestEntry entry in Entries)
        {
            if (entry.Kind == EntryKind.Directory)
            {
                store.CreateDirectory(entry);
                continue;
            }

            if (store.TryGetExisting(entry)) continue;
            store.Receive(entry, entry.Id switch { 1 => Small, 2 => Large, _ => [] }, Chunk);
        }

        if (store.Finish() is [var failure, ..]) throw failure;
        store.DiscardStaging();
    }

    private void AssertNothingWrongIsShown()
    {
        foreach ((string name, byte[] content) in ((string, byte[])[])[("d/small", Small), ("d/large", Large), ("empty", [])])
        {
            if (File.Exists(_folder[name])) Assert.Equal(content, File.ReadAllBytes(_folder[name]));
        }
    }

    public static TheoryData<string, TransferError> Failures => new()
    {
        { "EIO", TransferError.StorageFault },
        { "ENOSPC", TransferError.StorageFull },
        { "EACCES", TransferError.AccessDenied },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task A_failure_at_any_call_is_typed_and_the_next_run_completes(string kind, TransferError error)
    {
        bool failed = true;
        int failing = 0;
        for (; failed; failing++) // until a run makes fewer calls
        {
            int target = failing;
            Empty();
            _outcomes.Clear();
            failed = false;
            var faulty = new FaultyStorage(new ReceiveStoreOptions().Storage)
            {
                Fail = (_, number) =>
                {
                    if (number != target) return null;
                    failed = true;
                    return new TransferException(error, kind);
                },
            };
            bool threw = false;
            try
            {
                await ReceiveAll(faulty);
            }
            catch (TransferException e)
            {
                threw = true;
                Assert.True(error == e.Error, $"{faulty.Calls.ElementAtOrDefault(failing)}: {e}");
            }

            AssertNothingWrongIsShown();
            foreach (PublishOutcome outcome in _outcomes)
            {
                // what was reported as published is there, whatever failed later
                if (outcome.Error is null) Assert.True(File.Exists(_folder[outcome.Entry.Path]));
                else Assert.Equal(error, outcome.Error.Error);
            }

            bool told = threw || _outcomes.Any(outcome => outcome.Error is not null);
            Assert.True(told || Entries[1..].All(entry => File.Exists(_folder[entry.Path])));
            _outcomes.Clear();
            await ReceiveAll(new ReceiveStoreOptions().Storage);
            Assert.All(_outcomes, outcome => Assert.Null(outcome.Error));
            string after = $"after failing call {failing}, {faulty.Calls.ElementAtOrDefault(failing)}";
            Assert.All(Entries[1..], entry => Assert.True(File.Exists(_folder[entry.Path]), after));
            AssertNothingWrongIsShown();
            Assert.Equal(["d/large", "d/small", "empty"], _folder.Files());
        }

        Assert.InRange(failing, 60, 200);
    }

    [Theory]
    [InlineData("SyncData")]
    [InlineData("SyncFile")]
    [InlineData("SyncFileSystem")]
    public async Task A_failed_sync_ends_the_store_and_the_next_run_takes_a_fresh_file(string sync)
    {
        byte[] content = Received.Content(5, (2 << 20) + 7);
        ManifestEntry entry = Received.File(9, "f", content.Length), other = Received.File(8, "small", 3);
        var faulty = new FaultyStorage(new ReceiveStoreOptions().Storage);
        await using (ReceiveStore store = Open(faulty))
        {
            if (sync == "SyncFileSystem" && !faulty.CanSyncFileSystem) Assert.Skip("syncs each file by itself here");
            ReceiveFile file = store.OpenFile(entry, Chunk);
            file.WriteChunk(content, 0, Chunk);
            store.Checkpoint();
            file.WriteMissing(content, Chunk);
            store.Receive(other, "abc"u8.ToArray());
            int syncs = 0;
            faulty.Fail = (name, _) => name == sync && syncs++ == 0 ? new TransferException(TransferError.StorageFault, "EIO") : null;
            Assert.ThrowsAny<TransferException>(() =>
            {
                if (sync == "SyncFile") file.Publish();
                if (sync == "SyncFileSystem") store.PublishPending();
                store.Checkpoint();
            });
            Assert.Equal(TransferError.StorageFault, store.Fault!.Error);
            Assert.Equal(1, syncs); // not tried again
            Assert.Throws<TransferException>(() => store.OpenFile(Received.File(1, "more", 3), Chunk));
            Assert.Throws<TransferException>(() => store.Finish());
            Assert.False(File.Exists(_folder["f"]));
            Assert.False(File.Exists(_folder["small"]));
        }

        string staging = _folder[".fastshare-" + Received.Id];
        string before = Assert.Single(Directory.GetFiles(staging, "00000009.*"));
        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(entry, Chunk);
        string after = Assert.Single(Directory.GetFiles(staging, "00000009.*"));
        Assert.NotEqual(before, after);
        Assert.True(again.HasChunk(0)); // the checkpoint before the failure counts
        Assert.Equal(32, again.WriteMissing(content, Chunk));
        again.Publish();
        resumed.Finish();
        Assert.Equal(content, File.ReadAllBytes(_folder["f"]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // a write failed in the same moment
    public async Task What_was_copied_after_a_failed_sync_is_gone_on_with_and_not_copied_again(bool afterWrite)
    {
        byte[] content = Received.Content(5, 40 * Chunk);
        ManifestEntry entry = Received.File(9, "f", content.Length);
        var faulty = new FaultyStorage(new ReceiveStoreOptions().Storage);
        await using (ReceiveStore store = ReceiveStore.Open(
            _folder.Path, Received.Id, new ReceiveStoreOptions { Storage = faulty, TimeProvider = new FakeTimeProvider() }))
        {
            ReceiveFile file = store.OpenFile(entry, Chunk);
            for (int i = 0; i < 8; i++) file.WriteChunk(content, i, Chunk);
            store.Checkpoint();
            file.WriteChunk(content, 8, Chunk);
            faulty.Fail = (name, _) =>
            {
                if (name != "SyncData") return null;
                faulty.Fail = null;
                if (afterWrite) store.SetFault(new TransferException(TransferError.StorageFault, "another EIO"), null);
                return new TransferException(TransferError.StorageFault, "EIO");
            };
            Assert.Throws<TransferException>(store.Checkpoint);
        }

        string staging = _folder[".fastshare-" + Received.Id];
        string Data() => Assert.Single(Directory.GetFiles(staging, "00000009.*"));
        string doubtful = Data(), copied;
        await using (ReceiveStore second = Open())
        {
            using ReceiveFile file = second.OpenFile(entry, Chunk);
            copied = Data();
            Assert.NotEqual(doubtful, copied);
            Assert.Equal(8, file.ClaimCount);
            for (int i = 8; i < 20; i++) file.WriteChunk(content, i, Chunk);
        }

        // The orderly stop has recorded everything, and nothing is in doubt any more.
        await using ReceiveStore third = Open();
        using ReceiveFile again = third.OpenFile(entry, Chunk);
        Assert.Equal(copied, Data());
        Assert.Equal(20, again.ClaimCount);
        Assert.Equal(20, again.WriteMissing(content, Chunk));
        again.Publish();
        third.Finish();
        Assert.Equal(content, File.ReadAllBytes(_folder["f"]));
        third.DiscardStaging();
        Assert.Empty(Directory.GetDirectories(_folder.Path));
    }

    [Fact]
    public async Task After_a_full_disk_what_was_written_is_kept()
    {
        byte[] content = Received.Content(5, 10 * Chunk);
        ManifestEntry entry = Received.File(9, "f", content.Length);
        var faulty = new FaultyStorage(new ReceiveStoreOptions().Storage);
        await using (ReceiveStore store = ReceiveStore.Open(
            _folder.Path, Received.Id, new ReceiveStoreOptions { Storage = faulty, TimeProvider = new FakeTimeProvider() }))
        {
            ReceiveFile file = store.OpenFile(entry, Chunk);
            for (int i = 0; i < 6; i++) file.WriteChunk(content, i, Chunk);
            int writes = 0;
            faulty.Fail = (name, _) => name == "Write" && writes++ == 0 ? new TransferException(TransferError.StorageFull, "ENOSPC") : null;
            Failing.With(TransferError.StorageFull, () => file.WriteChunk(content, 6, Chunk));
            Failing.With(TransferError.StorageFull, () => file.WriteChunk(content, 7, Chunk));
        }

        await using ReceiveStore resumed = Open();
        using ReceiveFile again = resumed.OpenFile(entry, Chunk);
        Assert.Equal(4, again.WriteMissing(content, Chunk));
    }

    [Fact]
    public async Task Every_operation_follows_the_order_that_makes_it_durable()
    {
        var counting = new FaultyStorage(new ReceiveStoreOptions().Storage);
        Assert.SkipUnless(counting.CanSyncFileSystem, "the order elsewhere is another");
        await using ReceiveStore store = ReceiveStore.Open(
            _folder.Path, Received.Id, new ReceiveStoreOptions { Storage = counting, TimeProvider = new FakeTimeProvider() });
        List<string> Since(int start) => [.. counting.Calls.Skip(start).Where(call => call is not ("Stat" or "OpenFolder" or "Reserve"))];
        // opening: the journal is durable before any data
        string[] journal = ["Write", "SyncData", "Sync", "Write", "SyncData", "List", "Sync"]; // log, staging folder, slot; destination
        Assert.Equal(journal, Since(counting.Calls.Count - journal.Length));

        int at = counting.Calls.Count;
        store.Receive(Received.File(0, "large", Large.Length), Large, 1 << 20);
        Assert.Equal(["CreateFile", "Write", "Write", "SetFileAttributes", "SyncFile", "Rename", "Sync"], Since(at));

        at = counting.Calls.Count;
        store.Receive(Received.File(1, "s1", 3), "abc"u8.ToArray());
        store.Receive(Received.File(2, "s2", 3), "abc"u8.ToArray());
        store.PublishPending();
        string[] one = ["CreateFile", "Write", "SetFileAttributes"];
        Assert.Equal([.. one, .. one, "SyncFileSystem", "Rename", "Rename", "Sync"], Since(at));

        at = counting.Calls.Count;
        using ReceiveFile file = store.OpenFile(Received.File(3, "part", Large.Length), Chunk);
        file.WriteChunk(Large, 0, Chunk);
        store.Checkpoint();
        Assert.Equal(["CreateFile", "Write", "SyncData", "Sync", "Write", "SyncData"], Since(at));
        at = counting.Calls.Count;
        store.Checkpoint(); // nothing new
        Assert.Empty(Since(at));
    }

    private void Empty()
    {
        foreach (string path in Directory.GetFiles(_folder.Path)) File.Delete(path);
        foreach (string path in Directory.GetDirectories(_folder.Path)) Directory.Delete(path, recursive: true);
    }
}
