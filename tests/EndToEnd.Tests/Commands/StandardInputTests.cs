using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary><c>fastshare send - --as NAME</c>: what a pipe of the shell carries.</summary>
public sealed class StandardInputTests : IDisposable
{
    private const int MiB = 1 << 20;

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task What_a_pipe_carries_arrives_whole()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = Shell(
            $"head -c 50M /dev/urandom | tee copy | {Send} --as backups/x.bin --to {receiver.Address}");
        Assert.True(await sender.WaitForExitAsync() == 0, sender.ToString());
        Assert.True(await receiver.Process.WaitForExitAsync() == 0, receiver.Process.ToString());

        FileTree.AssertSameContent(_folder["copy"], _folder["in/backups/x.bin"]);
        Assert.Equal(50 * MiB, new FileInfo(_folder["copy"]).Length);
        JsonElement completed = await sender.WaitForEventAsync("completed");
        Assert.Equal((1, 50 * MiB), (completed.GetProperty("files").GetInt64(), completed.GetProperty("bytes").GetInt64()));
        Assert.Equal(
            (await receiver.Process.WaitForEventAsync("fileCompleted")).GetProperty("digest").GetString(),
            (await sender.WaitForEventAsync("fileCompleted")).GetProperty("digest").GetString());
        // how much it is to be was not known before the end
        long?[] totals = [.. sender.Events.Where(e => e.GetProperty("event").GetString() == "progress").Select(
            e => e.GetProperty("totalBytes").ValueKind == JsonValueKind.Null ? (long?)null : e.GetProperty("totalBytes").GetInt64())];
        Assert.All(totals, total => Assert.True(total is null or 50 * MiB));
        Assert.Equal(50 * MiB, totals[^1]);
    }

    [Fact]
    public async Task Nothing_that_comes_is_an_empty_file()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = Shell($"{Send} --as nothing --size 0 --to {receiver.Address} < /dev/null");
        Assert.True(await sender.WaitForExitAsync() == 0, sender.ToString());
        Assert.Equal(0, await receiver.Process.WaitForExitAsync());
        Assert.Equal(0, new FileInfo(_folder["in/nothing"]).Length);
    }

    [Fact]
    public async Task A_slow_receiver_holds_the_source_back_and_a_killed_sender_leaves_no_file()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using var link = new SlowLink(receiver.Address, 8_000_000);
        await using FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", "-", "--as", "x", "--to", link.Address, .. ReceivingNode.ByAddress]);
        long written = 0;
        Task source = Task.Run(async () =>
        {
            byte[] piece = new byte[64 << 10];
            for (int i = 0; i < 512 * MiB / piece.Length; i++)
            {
                await sender.Input.WriteAsync(piece);
                Interlocked.Add(ref written, piece.Length);
            }
        });
        await receiver.Process.WaitForEventAsync("progress", e => e.GetProperty("bytes").GetInt64() > 2 * MiB);
        long byThen = Interlocked.Read(ref written);
        int after = receiver.Process.Events.Count;
        // the first event may have been counted before
        while (receiver.Process.Events.Skip(after).Count(e => e.GetProperty("event").GetString() == "progress") < 2) await Task.Delay(20);
        long taken = receiver.Process.Events.Skip(after).Where(e => e.GetProperty("event").GetString() == "progress")
            .ElementAt(1).GetProperty("bytes").GetInt64();
        // what is held until it is taken, a chunk that is being read, and what is in the pipe
        Assert.InRange(byThen, 1, taken + (18 * MiB));

        Assert.False(source.IsCompleted);
        await sender.KillAsync();
        await source.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        receiver.Process.Interrupt();
        Assert.Equal(130, await receiver.Process.WaitForExitAsync());
        Assert.Empty(FileTree.Published(_folder["in"]));
    }

    [Theory]
    [InlineData("head -c 3000000 /dev/zero", "--size 5MB", "ended after 3000000")] // whoever wrote was killed
    [InlineData("head -c 3000000 /dev/zero", "--size 2MB", "has more")]
    [InlineData(null, "", "failed")] // a folder: reading fails
    public async Task A_source_that_fails_is_an_error_on_both_sides_and_no_file(string? source, string size, string why)
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        string send = $"{Send} --as x {size} --to {receiver.Address}";
        await using FastShareProcess sender = Shell(source is null ? $"{send} < /" : $"{source} | {send}");
        Assert.True(await sender.WaitForExitAsync() == 1, sender.ToString());
        Assert.True(await receiver.Process.WaitForExitAsync() == 1, receiver.Process.ToString());
        JsonElement error = await sender.WaitForEventAsync("error");
        Assert.Equal("sourceChanged", error.GetProperty("kind").GetString());
        Assert.Contains(why, error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal("sourceChanged", (await receiver.Process.WaitForEventAsync("error")).GetProperty("kind").GetString());
        Assert.Empty(FileTree.Published(_folder["in"]));
    }

    [Fact]
    public async Task An_interrupted_sender_does_not_wait_for_its_source()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", "-", "--as", "x", "--to", receiver.Address, .. ReceivingNode.ByAddress]);
        await sender.Input.WriteAsync(new byte[3 * MiB]);
        await sender.Input.FlushAsync();
        await receiver.Process.WaitForEventAsync("progress", e => e.GetProperty("bytes").GetInt64() >= 3 * MiB);
        sender.Interrupt();
        Assert.True(await sender.WaitForExitAsync() == 130, sender.ToString());
        string message = (await sender.WaitForEventAsync("error")).GetProperty("message").GetString()!;
        Assert.Contains("nothing was delivered", message, StringComparison.Ordinal);
        Assert.NotEqual(0, await receiver.Process.WaitForExitAsync());
        Assert.Empty(FileTree.Published(_folder["in"]));
    }

    public void Dispose() => _folder.Dispose();

    private static string Send => $"'{FastShareProcess.Path}' send - {string.Join(' ', ReceivingNode.ByAddress)}";

    private FastShareProcess Shell(string line)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "pipes of a Unix shell");
        return FastShareProcess.StartProgram(_folder, "/bin/sh", "-c", line);
    }
}
