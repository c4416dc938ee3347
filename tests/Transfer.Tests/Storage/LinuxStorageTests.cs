using System.Collections.Concurrent;
using System.Diagnostics;
using FastShare.Testing;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>What only the system calls can promise.</summary>
public sealed class LinuxStorageTests : IDisposable
{
    private const int Chunk = 1 << 16;
    private readonly TemporaryFolder _folder = new();
    private readonly ConcurrentQueue<PublishOutcome> _outcomes = new();

    public LinuxStorageTests() => Assert.SkipUnless(LinuxCalls.IsSupported, "needs Linux on x64 or Arm64");

    public void Dispose() => _folder.Dispose();

    private ReceiveStore Open(string path, bool links = false) =>
        ReceiveStore.Open(path, Received.Id, new ReceiveStoreOptions { Published = _outcomes.Enqueue, AllowSymlinks = links });

    [Fact]
    public async Task Times_are_exact_and_special_bits_are_dropped()
    {
        await using ReceiveStore store = Open(_folder.Path);
        (int Mode, long Time)[] cases =
            [(0x1FF, Received.Time), (0x100, 1), (0x180, 0), (0xFFF, 1_999_999_999_999_999_999), (0x9ED, -1_500_000_001), (-1, 5)];
        for (uint i = 0; i < cases.Length; i++)
        {
            store.Receive(Received.File(i, $"f{i}", 3, cases[i].Mode, cases[i].Time), "abc"u8.ToArray());
        }

        byte[] large = Received.Content(1, 1 << 20);
        store.Receive(Received.File(99, "large", large.Length, 0xFFF), large, 1 << 20);
        store.CreateDirectory(Received.Folder(100, "d/e", 0xFED));
        store.CreateDirectory(Received.Folder(101, "d", 0x16D, 77));
        store.Receive(Received.File(102, "d/e/f", 1), "x"u8.ToArray());
        store.Finish();

        using IStorageFolder destination = new LinuxStorage().OpenDestination(_folder.Path);
        for (int i = 0; i < cases.Length; i++)
        {
            StorageStat stat = destination.Stat($"f{i}")!.Value;
            Assert.Equal(cases[i].Time, stat.ModifiedUnixNanoseconds);
            if (cases[i].Mode >= 0) Assert.Equal(cases[i].Mode & 0x1FF, stat.Mode);
            else Assert.Equal(0x180, stat.Mode & 0x1C9); // what the umask leaves; never executable
        }

        Assert.Equal(0x1FF, destination.Stat("large")!.Value.Mode);
        Assert.Equal((0x1ED, Received.Time), (destination.Stat("d/e")!.Value.Mode, destination.Stat("d/e")!.Value.ModifiedUnixNanoseconds));
        Assert.Equal((0x16D, 77L), (destination.Stat("d")!.Value.Mode, destination.Stat("d")!.Value.ModifiedUnixNanoseconds));
    }

    [Fact]
    public async Task A_folder_is_closed_to_others_until_its_mode_is_known_to_be_set()
    {
        await using ReceiveStore store = Open(_folder.Path);
        store.Receive(Received.File(2, "private/inner/f", 3), "abc"u8.ToArray());
        store.Receive(Received.File(3, "unnamed/f", 3), "abc"u8.ToArray());
        store.PublishPending();
        Assert.All((string[])["private", "private/inner", "unnamed"], path => Assert.Equal(0x1C0, TemporaryFolder.ModeOf(_folder[path])));
        store.CreateDirectory(Received.Folder(0, "private", 0x1C0));
        store.CreateDirectory(Received.Folder(1, "private/inner", 0x1ED));
        store.Finish();
        Directory.CreateDirectory(_folder["ordinary"]);
        Assert.Equal(0x1C0, TemporaryFolder.ModeOf(_folder["private"]));
        Assert.Equal(0x1ED, TemporaryFolder.ModeOf(_folder["private/inner"]));
        Assert.Equal(TemporaryFolder.ModeOf(_folder["ordinary"]), TemporaryFolder.ModeOf(_folder["unnamed"]));
    }

    [Fact]
    public async Task Staging_is_closed_to_others_and_so_is_data_before_it_is_published()
    {
        string staging = _folder[".fastshare-" + Received.Id];
        Directory.CreateDirectory(staging);
        TemporaryFolder.SetMode(staging, 0x1FF);
        await using ReceiveStore store = Open(_folder.Path);
        Assert.Equal(0x1C0, TemporaryFolder.ModeOf(staging));
        using ReceiveFile file = store.OpenFile(Received.File(7, "f", 2 * Chunk, 0x1FF), Chunk);
        file.WriteChunk(0, new byte[Chunk], 0);
        Assert.Equal(0x180, TemporaryFolder.ModeOf(Assert.Single(Directory.GetFiles(staging, "00000007.*"))));
    }

    [Fact]
    public async Task A_small_file_is_made_with_its_mode_where_its_owner_can_go_on_with_it()
    {
        await using ReceiveStore store = Open(_folder.Path);
        (int Mode, int Staged)[] cases = [(0x180, 0x180), (0x1C0, 0x1C0), (0x100, 0x180), (0, 0x180)]; // bits that no umask takes
        for (uint i = 0; i < 2 * cases.Length; i++)
        {
            (int mode, int staged) = cases[i % cases.Length];
            using (ReceiveFile file = store.OpenFile(Received.File(i, $"f{i}", 3, mode), Chunk))
            {
                Received.WriteChunk(file, "abc"u8.ToArray(), 0, (int)Chunk);
                Assert.Equal(staged, TemporaryFolder.ModeOf(Assert.Single(Directory.GetFiles(_folder[".fastshare-" + Received.Id], $"{i:x8}.*"))));
                file.Publish();
            }

            store.PublishPending();
            Assert.Equal(mode, TemporaryFolder.ModeOf(_folder[$"f{i}"]));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Links_in_the_destination_are_never_followed(bool oldKernel)
    {
        string outside = _folder["outside"], destination = _folder["destination"];
        Directory.CreateDirectory(outside);
        Directory.CreateDirectory(destination);
        _folder.Write("outside/file", "abc"u8);
        Directory.CreateSymbolicLink(_folder["destination/folder"], outside);
        Directory.CreateSymbolicLink(_folder["destination/up"], "..");
        File.CreateSymbolicLink(_folder["destination/file"], _folder["outside/file"]);
        File.SetLastWriteTimeUtc(_folder["outside/file"], DateTime.UnixEpoch.AddTicks(Received.Time / 100));
        LinuxPaths.PretendNoOpenAt2 = oldKernel;
        try
        {
            await using ReceiveStore store = Open(destination);
            foreach (string path in (string[])["folder/x", "folder/file", "folder/deep/x", "up/outside/x"])
            {
                Failing.With(TransferError.AccessDenied, () => store.OpenFile(Received.File(0, path, 3), Chunk));
                var e = Assert.Throws<TransferException>(() => store.TryGetExisting(Received.File(0, path, 3)));
                Assert.Equal(TransferError.AccessDenied, e.Error);
                Assert.Equal(path, e.Path);
            }

            Failing.With(TransferError.AccessDenied, () => store.CreateDirectory(Received.Folder(0, "folder")));
            Failing.With(TransferError.AccessDenied, () => store.CreateDirectory(Received.Folder(0, "up/new")));
            // a link that points to an equal file is not that file
            Assert.False(store.TryGetExisting(Received.File(1, "file", 3)));
            Failing.With(TransferError.DestinationExists, () => store.OpenFile(Received.File(1, "file", 3), Chunk));
        }
        finally
        {
            LinuxPaths.PretendNoOpenAt2 = false;
        }

        Assert.Equal(["outside/file"], _folder.Files().Where(path => path.StartsWith("outside", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Replacing_a_link_replaces_the_link_itself()
    {
        string victim = _folder.Write("outside/victim", "precious"u8);
        Directory.CreateDirectory(_folder["destination"]);
        File.CreateSymbolicLink(_folder["destination/f"], victim);
        await using ReceiveStore store = ReceiveStore.Open(_folder["destination"], Received.Id, new ReceiveStoreOptions { Replace = true });
        store.Receive(Received.File(0, "f", 3), "abc"u8.ToArray());
        store.Finish();
        Assert.Equal("precious"u8, File.ReadAllBytes(victim));
        Assert.Null(new FileInfo(_folder["destination/f"]).LinkTarget);
        Assert.Equal("abc"u8, File.ReadAllBytes(_folder["destination/f"]));
    }

    [Fact]
    public async Task A_folder_swapped_for_a_link_again_and_again_leads_nothing_outside()
    {
        const int swaps = 2_000;
        string outside = _folder["outside"], target = _folder["destination/d"], aside = _folder["aside"], link = _folder["link"];
        Directory.CreateDirectory(outside);
        Directory.CreateDirectory(target);
        Directory.CreateSymbolicLink(link, outside);
        int swapped = 0, met = 0;
        var attacker = new Thread(() =>
        {
            // on until they have met often enough for every step of a publication
            for (int i = 0; (i < swaps || Volatile.Read(ref met) < 200) && i < 100 * swaps; i++)
            {
                // the store makes the folder again when it finds it gone, so what stands there is moved away first
                Rename(target, aside + i);
                Rename(link, target);
                Rename(target, link);
                Volatile.Write(ref swapped, i + 1);
            }
        });
        uint id = 0;
        int refused = 0;
        await using (ReceiveStore store = Open(_folder["destination"]))
        {
            attacker.Start();
            while (attacker.IsAlive)
            {
                Volatile.Write(ref met, refused + _outcomes.Count(outcome => outcome.Error is not null));
                try
                {
                    store.Receive(Received.File(id, $"d/f{id}", 3), "abc"u8.ToArray());
                    store.PublishPending();
                }
                catch (TransferException e) when (e.Error == TransferError.AccessDenied)
                {
                    refused++; // the link was seen already when opening
                }
                catch (TransferException e) when (e.Error is TransferError.StorageFault && store.Fault is null)
                {
                    refused++; // the folder was gone between making and opening it
                }

                id++;
            }

            attacker.Join();
        }

        Assert.Empty(Directory.GetFileSystemEntries(outside));
        TransferError[] kinds = [TransferError.AccessDenied, TransferError.StorageFault];
        Assert.All(_outcomes, outcome => Assert.True(outcome.Error is null || kinds.Contains(outcome.Error.Error)));
        int published = _outcomes.Count(outcome => outcome.Error is null);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{swapped} swaps, {id} files: {published} published, {refused} refused early, {_outcomes.Count - published} late");
        Assert.True(published > 0 && met >= 200);

        static void Rename(string from, string to) => LinuxCalls.RenameAt(LinuxCalls.CurrentFolder, from, LinuxCalls.CurrentFolder, to);
    }

    [Fact]
    public async Task Symbolic_links_are_made_only_if_asked_for()
    {
        var entry = new ManifestEntry(0, EntryKind.Symlink, "d/l", 0, -1, 0, "target");
        await using (ReceiveStore store = Open(_folder["no"])) Assert.False(store.CreateSymlink(entry));
        Assert.Empty(Directory.GetFileSystemEntries(_folder["no"]));
        await using (ReceiveStore store = Open(_folder["yes"], links: true))
        {
            Assert.True(store.CreateSymlink(entry));
            Assert.True(store.CreateSymlink(entry)); // equal: fine
            Failing.With(TransferError.DestinationExists, () => store.CreateSymlink(entry with { LinkTarget = "other" }));
            store.Finish();
        }

        Assert.Equal("target", new FileInfo(_folder["yes/d/l"]).LinkTarget);
    }

    [Fact]
    public async Task A_full_file_system_ends_typed_and_the_transfer_resumes_when_there_is_room()
    {
        string mount = _folder["mount"];
        Directory.CreateDirectory(mount);
        using var tmpfs = Mounted.TryTmpfs(mount, "size=2m");
        Assert.SkipWhen(tmpfs is null, "needs the right to mount");
        byte[] content = Received.Content(3, 40 * Chunk);
        ManifestEntry entry = Received.File(0, "big", content.Length);

        // announced beforehand, it is refused before anything is made
        var announced = new ReceiveStoreOptions { ExpectedBytes = content.Length };
        Failing.With(TransferError.StorageFull, () => ReceiveStore.Open(mount, Received.Id, announced));
        Assert.Empty(Directory.GetFileSystemEntries(mount));

        await using (ReceiveStore store = Open(mount))
        {
            ReceiveFile file = store.OpenFile(entry, Chunk);
            var e = Assert.Throws<TransferException>(() => file.WriteMissing(content, Chunk));
            Assert.Equal(TransferError.StorageFull, e.Error);
            Assert.Equal("big", e.Path);
        }

        Assert.False(File.Exists(Path.Combine(mount, "big")));
        tmpfs!.Remount("size=8m");
        await using (ReceiveStore store = Open(mount))
        {
            using ReceiveFile file = store.OpenFile(entry, Chunk);
            int had = 40 - file.WriteMissing(content, Chunk);
            Assert.InRange(had, 25, 32); // what fitted
            file.Publish();
            store.Finish();
        }

        Assert.Equal(content, File.ReadAllBytes(Path.Combine(mount, "big")));
    }

    [Fact]
    public void A_read_only_file_system_is_access_denied()
    {
        string mount = _folder["mount"];
        Directory.CreateDirectory(mount);
        using var tmpfs = Mounted.TryTmpfs(mount, "size=1m,ro");
        Assert.SkipWhen(tmpfs is null, "needs the right to mount");
        var e = Assert.Throws<TransferException>(() => Open(mount));
        Assert.Equal(TransferError.AccessDenied, e.Error);
        Assert.Contains("read-only", e.Message, StringComparison.Ordinal);
        Failing.With(TransferError.AccessDenied, () => Open(Path.Combine(mount, "new")));
    }

    [Fact]
    public void A_folder_without_write_permission_is_access_denied()
    {
        TemporaryFolder.SetMode(_folder.Path, 0x16D);
        Unprivileged.Run(() => Failing.With(TransferError.AccessDenied, () => Open(_folder.Path)));
        TemporaryFolder.SetMode(_folder.Path, 0x1ED);
    }

    [Fact]
    public void A_file_as_destination_is_told_so()
    {
        string file = _folder.Write("f", "x"u8);
        Failing.With(TransferError.DestinationExists, () => Open(file));
        Failing.With(TransferError.DestinationExists, () => Open(file + "/below"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Paths_resolve_beneath_with_and_without_openat2(bool oldKernel)
    {
        _folder.Write("a/b/c", "x"u8);
        Directory.CreateSymbolicLink(_folder["a/l"], "b");
        LinuxPaths.PretendNoOpenAt2 = oldKernel;
        try
        {
            using IStorageFolder root = new LinuxStorage().OpenDestination(_folder.Path);
            root.OpenFolder("a/b")!.Dispose();
            root.OpenFolder("")!.Dispose();
            Assert.Null(root.OpenFolder("a/none/deeper"));
            Assert.Equal(1, root.Stat("a/b/c")!.Value.Size);
            Assert.Null(root.Stat("a/x/c"));
            Assert.Equal(StorageKind.Symlink, root.Stat("a/l")!.Value.Kind);
            foreach (string path in (string[])["a/l", "a/l/c", "..", "a/../..", "/etc"])
            {
                Failing.With(TransferError.AccessDenied, () => root.OpenFolder(path));
            }

            Failing.With(TransferError.DestinationExists, () => root.OpenFolder("a/b/c"));
        }
        finally
        {
            LinuxPaths.PretendNoOpenAt2 = false;
        }
    }

    /// <summary>A mount of this test's own, gone afterwards.</summary>
    private sealed class Mounted(string path) : IDisposable
    {
        public static Mounted? TryTmpfs(string path, string options) =>
            Run("mount", "-t", "tmpfs", "-o", options, "fastshare-test", path) ? new Mounted(path) : null;

        public void Remount(string options) => Assert.True(Run("mount", "-o", "remount," + options, path));

        public void Dispose() => Run("umount", path);

        private static bool Run(params string[] command)
        {
            try
            {
                using Process process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardError = true })!;
                process.WaitForExit();
                return process.ExitCode == 0;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return false; // no such command
            }
        }
    }
}
