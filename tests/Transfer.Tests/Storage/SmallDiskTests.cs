using System.Diagnostics;
using System.Globalization;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>
/// A real disk that is full, and one that is read-only: a small tmpfs in a mount namespace of its own. The test starts itself in there;
/// FASTSHARE_SMALL_DISK then says where the disk is.
/// </summary>
public class SmallDiskTests
{
    private const int DiskBytes = 8 << 20, Chunk = 1 << 16, Points = 64;
    private const string DiskVariable = "FASTSHARE_SMALL_DISK";

    private static readonly byte[] Large = Received.Content(1, 30 * Chunk + 77);
    private static readonly string? Disk = Environment.GetEnvironmentVariable(DiskVariable);

    [Fact]
    public async Task A_disk_full_at_every_point_or_read_only_is_told_and_resumed_from()
    {
        if (Disk is not null) // in the namespace
        {
            await FullAtEveryPointAsync();
            await ReadOnlyAndWritableAgainAsync();
            return;
        }

        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs mount namespaces");
        using var mountPoint = new TemporaryFolder();
        string script = $"mount -t tmpfs -o size={DiskBytes} none '{mountPoint.Path}' || exit 77; "
            + $"exec '{Environment.ProcessPath}' -method '*.{nameof(A_disk_full_at_every_point_or_read_only_is_told_and_resumed_from)}'";
        var start = new ProcessStartInfo("unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", script])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment[DiskVariable] = mountPoint.Path;
        using Process process = StartOrSkip(start);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.SkipWhen(process.ExitCode is 77 or 1 && !output.Contains("FastShare", StringComparison.Ordinal),
            "this system lets nobody make a mount namespace: " + await error);
        Assert.True(process.ExitCode == 0, output + await error);
        Assert.Contains("Total: 1, Errors: 0, Failed: 0, Skipped: 0", output, StringComparison.Ordinal);
    }

    private async Task FullAtEveryPointAsync()
    {
        int failed = 0;
        for (int point = 0; point < Points; point++)
        {
            string folder = Path.Combine(Disk!, "target"), ballast = Path.Combine(Disk!, "ballast");
            long free = (long)point * 3 * (1 << 20) / Points;
            await File.WriteAllBytesAsync(ballast, new byte[DiskBytes - free], TestContext.Current.CancellationToken);
            Exception? failure = await Record.ExceptionAsync(() => ReceiveAsync(folder));
            if (failure is not null)
            {
                failed++;
                TransferException typed = Assert.IsType<TransferException>(failure);
                Assert.True(typed.Error == TransferError.StorageFull, $"{point}: {typed}");
                Assert.Contains("free some space", typed.ToString(), StringComparison.Ordinal);
                Assert.Contains("“", typed.Message, StringComparison.Ordinal); // names the file
                if (File.Exists(Path.Combine(folder, "d/large"))) Assert.Equal(Large, File.ReadAllBytes(Path.Combine(folder, "d/large")));
            }

            File.Delete(ballast);
            await ReceiveAsync(folder, expectClaims: _written);
            Assert.Equal(Large, File.ReadAllBytes(Path.Combine(folder, "d/large")));
            Assert.Equal(42, Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Length);
            Assert.Empty(Directory.GetDirectories(folder, ".fastshare*"));
            Directory.Delete(folder, recursive: true);
        }

        Assert.InRange(failed, Points / 2, Points);
    }

    private async Task ReadOnlyAndWritableAgainAsync()
    {
        string folder = Path.Combine(Disk!, "target");
        Directory.CreateDirectory(folder);
        Mount("ro");
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => ReceiveAsync(folder));
        Assert.Equal(TransferError.AccessDenied, failure.Error);
        Assert.Contains("read-only", failure.Message, StringComparison.Ordinal);
        Mount("rw");
        await ReceiveAsync(folder);
        Assert.Equal(Large, File.ReadAllBytes(Path.Combine(folder, "d/large")));
    }

    private long _written; // chunks of the large file that a failed run wrote

    private async Task ReceiveAsync(string folder, long expectClaims = 0)
    {
        _written = 0;
        var outcomes = new System.Collections.Concurrent.ConcurrentQueue<PublishOutcome>();
        await using ReceiveStore store = ReceiveStore.Open(folder, Received.Id, new ReceiveStoreOptions
        {
            TimeProvider = new FakeTimeProvider(),
            Published = outcomes.Enqueue,
        });
        ManifestEntry large = Received.File(0, "d/large", Large.Length);
        ReceiveFile? file = store.TryGetExisting(large) ? null : store.OpenFile(large, Chunk);
        if (file is not null && expectClaims > 0) Assert.Equal(expectClaims, file.ClaimCount); // nothing that was written is lost
        for (uint id = 1; id <= 41; id++)
        {
            ManifestEntry small = Received.File(id, string.Create(CultureInfo.InvariantCulture, $"d/s{id}"), 9000);
            if (!store.TryGetExisting(small)) store.Receive(small, Received.Content((int)id, 9000));
            if (file is null || file.IsComplete) continue;
            for (long i = 0; i < file.ChunkCount; i++)
            {
                if (file.HasChunk(i) || i % 41 != id % 41) continue;
                file.WriteChunk(Large, i, Chunk);
                _written = file.ClaimCount;
            }
        }

        file?.WriteMissing(Large, Chunk);
        file?.Publish();
        IReadOnlyList<TransferException> failures = store.Finish();
        foreach (PublishOutcome outcome in outcomes)
        {
            if (outcome.Error is { } error) throw error;
        }

        Assert.Empty(failures);
        store.DiscardStaging();
    }

    private static void Mount(string mode)
    {
        using Process mount = Process.Start("mount", ["-o", "remount," + mode, Disk!]);
        mount.WaitForExit();
        Assert.Equal(0, mount.ExitCode);
    }

    private static Process StartOrSkip(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Skip("needs unshare (util-linux): " + e.Message);
            throw;
        }
    }
}
