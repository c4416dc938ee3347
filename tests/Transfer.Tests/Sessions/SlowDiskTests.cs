using System.IO.Pipelines;
using FastShare.Testing.Storage;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Verification;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>A disk that takes its time, or fails, and the connection beside it.</summary>
public class SlowDiskTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public async Task A_disk_that_stalls_while_a_file_is_published_costs_neither_connection_nor_transfer()
    {
        using var held = new ManualResetEventSlim();
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var disk = new FaultyStorage(ReceiveStoreOptions.MachineStorage)
        {
            Fail = (name, _) =>
            {
                if (name != "SyncFile") return null;
                reached.TrySetResult();
                held.Wait();
                return null;
            },
        };
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk }, time: time);
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(2 * MiB);
        byte[] chunk = new byte[MiB];
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, chunk);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, chunk);
        UInt128 digest = Digester.Of(chunk);
        await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 2, new Digester().RootOf([digest, digest])).Write);
        await sender.SendRawAsync(MessageType.End, []);
        await reached.Task;

        // Eight keep-alives are 24 s at least: far more than the silence that ends a connection.
        try
        {
            for (int heard = 0; heard < 8; heard++)
                Assert.Equal(MessageType.KeepAlive, (await sender.AdvanceUntilAsync(time, sender.NextAsync())).Type);
        }
        finally
        {
            held.Set();
        }

        await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
    }

    [Fact]
    public async Task More_files_than_may_wait_for_the_disk_all_arrive()
    {
        using var held = new ManualResetEventSlim();
        int opened = 0;
        var disk = new FaultyStorage(ReceiveStoreOptions.MachineStorage)
        {
            // the first batch's sync waits until far more files have come than are allowed to wait
            Fail = (name, _) =>
            {
                if (name == "CreateFile" && Interlocked.Increment(ref opened) == 400) held.Set();
                if (name == "SyncFileSystem") held.Wait();
                return null;
            },
        };
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk });
        for (int i = 0; i < 1500; i++) pair.AddFile($"d{i % 7}/f{i}", i % 50);
        await pair.Send(new SendOptions { Mode = TransferMode.Parallel }).Completion;
        Assert.Equal("", pair.Differences());
    }

    [Theory]
    [InlineData("Write")]
    [InlineData("SyncFile")]
    [InlineData("SyncData")]
    [InlineData("Rename")]
    public async Task A_device_that_fails_ends_the_transfer_with_a_reason_and_the_next_one_completes_it(string failing)
    {
        bool fails = true;
        var disk = new FaultyStorage(ReceiveStoreOptions.MachineStorage);
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk });
        pair.AddFile("large", 5 * MiB);
        pair.AddFile("small", 100);
        int opening = 20; // calls that open the store, which are another test's
        disk.Fail = (name, number) => fails && number > opening && name == failing
            ? new TransferException(TransferError.StorageFault, "Cannot write “large”: EIO; check the device.") { Path = "large" } : null;
        Transfer sent = pair.Send();
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        // The next one may come while the receiver is still closing the first: it waits for that.
        Assert.Contains("EIO", failure.Message, StringComparison.Ordinal);

        fails = false;
        await pair.Send().Completion;
        Assert.Equal("", pair.Differences());
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder, ".fastshare*"));
    }

    [Fact]
    public async Task A_transfer_whose_storage_cannot_even_be_closed_ends_all_the_same()
    {
        bool closing = false;
        var disk = new FaultyStorage(ReceiveStoreOptions.MachineStorage);
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk });
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(2 * MiB);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
        await ScriptedSender.WaitForMovedAsync(received, MiB);
        disk.Fail = (_, _) => closing ? new InvalidOperationException("a bug") : null;
        closing = true;
        await received.CancelAsync();
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => received.Completion);
        Assert.Equal(TransferError.Cancelled, failure.Error);
        closing = false;
    }

    [Fact]
    public async Task What_was_abandoned_a_week_ago_is_cleared_away_with_the_first_transfer()
    {
        await using var pair = new TransferPair();
        string old = Directory.CreateDirectory(Path.Combine(pair.TargetFolder, ".fastshare-" + new string('a', 32))).FullName;
        string recent = Directory.CreateDirectory(Path.Combine(pair.TargetFolder, ".fastshare-" + new string('b', 32))).FullName;
        string other = Directory.CreateDirectory(Path.Combine(pair.TargetFolder, ".fastshare-of-somebody-else")).FullName;
        await File.WriteAllTextAsync(Path.Combine(old, "00000000.00000000"), "left");
        DateTime longAgo = DateTime.UtcNow - Destinations.AbandonedAfter - TimeSpan.FromHours(1);
        File.SetLastWriteTimeUtc(Path.Combine(old, "00000000.00000000"), longAgo);
        Directory.SetLastWriteTimeUtc(old, longAgo);
        Directory.SetLastWriteTimeUtc(other, longAgo);
        pair.AddFile("f", 10);
        await pair.Send().Completion;
        Assert.Equal([recent, other], Directory.GetDirectories(pair.TargetFolder).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Reasons_are_kept_for_the_first_failures_and_a_bit_for_all()
    {
        var rejected = new RejectedFiles();
        for (uint id = 0; id < 100_000; id++) rejected.Add(new FileFailure(id * 3, WireCode.DestinationExists, "taken"));
        Assert.True(rejected.Contains(299_997));
        Assert.False(rejected.Contains(299_998));
        Assert.Null(rejected.Find(1));
        Assert.Equal("taken", rejected.Find(3)!.Value.Text);
        Assert.Equal(WireCode.Other, rejected.Find(299_997)!.Value.Code);
        Assert.Equal(100_000, rejected.All().Count());
    }
}
