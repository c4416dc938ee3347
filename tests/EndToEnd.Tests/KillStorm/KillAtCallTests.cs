using System.Diagnostics;
using System.Globalization;
using FastShare.EndToEnd.Tests.Commands;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.KillStorm;

/// <summary>
/// A receiver that is killed at its n-th call to the file system, by strace, which counts the calls of each thread. A round kills it at
/// call r, r + 13, r + 26 and so on, each time in the state the kill before left. By default the first round; all 13, which between them
/// kill at every number up to 104, with <c>FASTSHARE_KILL_CALLS=13</c>.
/// </summary>
public sealed class KillAtCallTests : IDisposable
{
    private const string Strace = "/usr/bin/strace";
    private const string Calls =
        "pwrite64,openat2,renameat2,fsync,fdatasync,syncfs,fchmod,utimensat,unlinkat,ftruncate,fallocate,flock,mkdirat";

    private const int Stride = 13;
    private const int Kills = 8;

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Receiver_killed_at_any_call_to_the_file_system_leaves_what_the_next_completes()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && await CanTraceAsync(), "needs strace, and the right to trace");
        var tree = new StormTree(_folder["tree"], new StormSize(600, 12 << 20, Kills));
        int rounds = int.Parse(Environment.GetEnvironmentVariable("FASTSHARE_KILL_CALLS") ?? "1", CultureInfo.InvariantCulture);
        for (int round = 1; round <= rounds; round++) await RunAsync(tree, round);
    }

    private async Task RunAsync(StormTree tree, int round)
    {
        string into = _folder[$"in-{round}"], delivered = Path.Combine(into, "tree"), listen = LoopbackOfOnesOwn.Listen();
        FastShareProcess? sender = null;
        int killed = 0;
        try
        {
            await using var watcher = new DestinationWatcher(tree, delivered);
            for (int kill = 0; kill < Kills; kill++)
            {
                FastShareProcess process = StartReceiver(into, listen, dieAt: round + (kill * Stride));
                await using (process)
                {
                    // it may be killed before it listens
                    if (await ListeningAsync(process) is not { } receiver) continue;
                    listen = receiver.Address[..receiver.Address.IndexOf("/p2p/", StringComparison.Ordinal)];
                    sender = StartSender(tree, receiver.Address);
                    // a short transfer has threads with few calls: the last numbers may not be reached
                    if (await FirstToEndAsync(process, sender) == sender)
                    {
                        Assert.True(sender.ExitCode == 0 || process.HasExited, $"round {round}, kill {kill}: {sender}\n{process}");
                        if (sender.ExitCode == 0) break;
                    }

                    await process.WaitForExitAsync();
                    killed++;
                }

                // the next one starts at once, where this one would wait longer from kill to kill
                await sender.DisposeAsync();
                sender = null;

                watcher.LookAtAll();
                Assert.True(watcher.Fault is null, $"round {round}, kill {kill}: {watcher.Fault}");
            }

            await using FastShareProcess last = StartReceiver(into, listen, dieAt: null);
            ReceivingNode completing = await ReceivingNode.WhenListeningAsync(last);
            if (sender is not null) await sender.DisposeAsync();
            sender = null;
            sender = StartSender(tree, completing.Address);
            Assert.True(await sender.WaitForExitAsync() == 0, $"round {round}: {sender}\n{last}");
            await last.WaitForEventAsync("completed");
            Assert.True(watcher.Fault is null, $"round {round}: {watcher.Fault}");
        }
        finally
        {
            if (sender is not null) await sender.DisposeAsync();
        }

        tree.AssertDelivered(delivered);
        Assert.Equal(["tree"], Directory.EnumerateFileSystemEntries(into).Select(Path.GetFileName));
        Assert.True(killed > 0, $"round {round}: no call was killed at");
        Directory.Delete(into, recursive: true);
    }

    private FastShareProcess StartReceiver(string into, string listen, int? dieAt)
    {
        string[] command =
            ["receive", into, "--yes", "--json", "--no-mdns", "--listen", listen, "--identity", _folder["receiver.key"]];
        if (dieAt is not { } call) return FastShareProcess.Start(_folder, command);
        string[] trace = ["-f", "-qq", "-o", "/dev/null", "-e", $"trace={Calls}", "-e", $"inject={Calls}:signal=SIGKILL:when={call}"];
        return FastShareProcess.StartProgram(_folder, Strace, [.. trace, FastShareProcess.Path, .. command]);
    }

    private static async Task<ReceivingNode?> ListeningAsync(FastShareProcess process)
    {
        try
        {
            return await ReceivingNode.WhenListeningAsync(process);
        }
        catch (InvalidOperationException)
        {
            await process.WaitForExitAsync();
            return null;
        }
    }

    private FastShareProcess StartSender(StormTree tree, string address) =>
        FastShareProcess.Start(_folder, ["send", tree.Root, "--to", address, .. ReceivingNode.Known]);

    private static async Task<FastShareProcess> FirstToEndAsync(FastShareProcess receiver, FastShareProcess sender)
    {
        Task<int> received = receiver.WaitForExitAsync(), sent = sender.WaitForExitAsync();
        return await Task.WhenAny(received, sent) == received ? receiver : sender;
    }

    private static async Task<bool> CanTraceAsync()
    {
        if (!File.Exists(Strace)) return false;
        using Process trial = Process.Start(new ProcessStartInfo(Strace, ["-qq", "-o", "/dev/null", "/bin/true"]) { RedirectStandardError = true })!;
        await trial.WaitForExitAsync();
        return trial.ExitCode == 0;
    }

    public void Dispose() => _folder.Dispose();
}
