using System.Diagnostics;
using System.Globalization;
using FastShare.EndToEnd.Tests.Commands;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.KillStorm;

/// <summary>What a round came to.</summary>
/// <param name="SenderKills">Times the sender was killed.</param>
/// <param name="ReceiverKills">Times the receiver was killed.</param>
/// <param name="WrittenAgain">
/// Bytes that all receivers together wrote beyond what is in the tree: what came again after kills, and with it journals and output.
/// </param>
/// <param name="SentAgain">Bytes the last sender says it sent more than once; counts what was on its way too.</param>
internal readonly record struct StormFigures(int SenderKills, int ReceiverKills, long WrittenAgain, long SentAgain);

/// <summary>
/// One transfer whose sender and receiver are killed, at instants drawn from a seed, and started again until it is complete. The seed
/// settles who is killed and after how many bytes or milliseconds; what the processes are at in that instant is up to the machine.
/// </summary>
internal sealed class StormRound : IAsyncDisposable
{
    private static readonly TimeSpan _poll = TimeSpan.FromMilliseconds(1);

    private readonly TestFolder _folder;
    private readonly StormTree _tree;
    private readonly int _mostKills;
    private readonly Random _random;
    private readonly string _destination;
    private FastShareProcess? _sender;
    private ReceivingNode? _receiver;
    private string _listen = LoopbackOfOnesOwn.Listen();
    private long _written; // by receivers that were killed
    private StormFigures _figures;

    public StormRound(TestFolder folder, StormTree tree, int mostKills, int seed)
    {
        _mostKills = mostKills;
        _folder = folder;
        _tree = tree;
        _random = new Random(seed);
        _destination = folder[$"in-{seed}"];
    }

    /// <summary>Runs the storm; fails on anything but a right and complete delivery.</summary>
    public async Task<StormFigures> RunAsync()
    {
        await using (var watcher = new DestinationWatcher(_tree, Path.Combine(_destination, Path.GetFileName(_tree.Root))))
        {
            Stack<double> points = new(Enumerable.Range(0, _random.Next(1, _mostKills + 1)).Select(_ => _random.NextDouble()).OrderDescending());
            do
            {
                await StartAsync();
                if (points.TryPop(out double point) && await ReachAsync(point)) await KillAsync();
                else if (await CompleteAsync()) break;
                watcher.LookAtAll();
                Assert.True(watcher.Fault is null, $"{watcher.Fault}\n{this}");
            }
            while (true);
            Assert.True(watcher.Fault is null, $"{watcher.Fault}\n{this}");
        }

        _tree.AssertDelivered(Path.Combine(_destination, Path.GetFileName(_tree.Root)));
        Assert.Equal([Path.GetFileName(_tree.Root)], Directory.EnumerateFileSystemEntries(_destination).Select(Path.GetFileName));
        return _figures;
    }

    public override string ToString() => $"sender: {_sender}\nreceiver: {_receiver?.Process}";

    public async ValueTask DisposeAsync()
    {
        if (_sender is not null) await _sender.DisposeAsync();
        if (_receiver is not null) await _receiver.DisposeAsync();
        if (Directory.Exists(_destination)) Directory.Delete(_destination, recursive: true);
    }

    // The receiver comes back as the same peer at the same address, so that a sender that lived on finds it again.
    private async Task StartAsync()
    {
        if (_receiver is null)
        {
            _receiver = await ReceivingNode.StartAsync(
                _folder, _destination, "--yes", "--json", "--no-mdns", "--listen", _listen, "--identity", _folder["receiver.key"]);
            _listen = _receiver.Address[.._receiver.Address.IndexOf("/p2p/", StringComparison.Ordinal)];
        }

        _sender ??= FastShareProcess.Start(_folder, ["send", _tree.Root, "--to", _receiver.Address, .. ReceivingNode.Known]);
    }

    // Either after so much of the tree, or after a time that falls into starting, shaking hands and planning. False: the sender has ended.
    private async Task<bool> ReachAsync(double point)
    {
        bool early = _random.Next(4) == 0;
        long bytes = early ? 0 : (long)(point * _tree.Payload);
        TimeSpan delay = TimeSpan.FromMilliseconds(_random.NextDouble() * (early ? 700 : 20));
        long start = Stopwatch.GetTimestamp(), moved = 0;
        while (!_sender!.HasExited)
        {
            long now = _written + BytesWritten(_receiver!.Process);
            if (now >= bytes) break;
            if (now > moved) (moved, start) = (now, Stopwatch.GetTimestamp());
            Assert.True(Stopwatch.GetElapsedTime(start) < FastShareProcess.HangLimit, $"nothing moves\n{this}");
            await Task.Delay(_poll);
        }

        await Task.Delay(delay);
        return !_sender.HasExited;
    }

    private async Task KillAsync()
    {
        int victim = _random.Next(10);
        if (victim != 0 && victim <= 4)
        {
            await KillSenderAsync();
            return;
        }

        if (victim == 0) await KillSenderAsync();
        _written += BytesWritten(_receiver!.Process);
        await _receiver.Process.KillAsync();
        await _receiver.DisposeAsync();
        _receiver = null;
        _figures = _figures with { ReceiverKills = _figures.ReceiverKills + 1 };
    }

    private async Task KillSenderAsync()
    {
        await _sender!.KillAsync();
        await _sender.DisposeAsync();
        _sender = null;
        _figures = _figures with { SenderKills = _figures.SenderKills + 1 };
    }

    // False: the sender was done before this receiver was started, which may have to clean up: it does when asked again.
    private async Task<bool> CompleteAsync()
    {
        Assert.True(await _sender!.WaitForExitAsync() == 0, ToString());
        long again = (await _sender.WaitForEventAsync("completed")).GetProperty("bytesResent").GetInt64();
        if (_receiver!.Process.Lines.Any(IsOffer))
        {
            await _receiver.Process.WaitForEventAsync("completed");
            _written += BytesWritten(_receiver.Process);
            _figures = _figures with { WrittenAgain = _written - _tree.Payload, SentAgain = again };
            _receiver.Process.Interrupt();
            Assert.True(await _receiver.Process.WaitForExitAsync() == 130, ToString());
            return true;
        }

        await _sender.DisposeAsync();
        _sender = null;
        return false;
    }

    private static bool IsOffer(string line) => line.StartsWith("{\"event\":\"offer\"", StringComparison.Ordinal);

    // What the process has handed to write calls: 0 when it is no more.
    private static long BytesWritten(FastShareProcess process)
    {
        try
        {
            const string Field = "wchar: ";
            string line = File.ReadLines($"/proc/{process.Id}/io").First(line => line.StartsWith(Field, StringComparison.Ordinal));
            return long.Parse(line.AsSpan(Field.Length), CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
