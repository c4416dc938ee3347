using System.Threading.Channels;
using FastShare.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Telemetry;
using FastShare.Transport.Buffers;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Testing.Transfer;

/// <summary>
/// A sender and a receiver on a <see cref="MemoryNetwork"/>, each with a folder that disposal removes, and a block pool that
/// shows use after return. Disposal checks that every block came back and every handler ended.
/// </summary>
internal sealed class TransferPair : IAsyncDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("fastshare-test-").FullName;
    private readonly List<TransferEngine> _engines = [];
    private readonly TransferInstruments? _instruments;
    private readonly Channel<FastShare.Transfer.Transfer> _incoming = Channel.CreateUnbounded<FastShare.Transfer.Transfer>();
    private readonly List<Task> _watching = [];

    public TransferPair(ConsentPolicy? consent = null, IncomingLimits? limits = null, TimeProvider? time = null, TransferInstruments? instruments = null)
    {
        _instruments = instruments;
        Time = time ?? TimeProvider.System;
        Limits = limits ?? new IncomingLimits();
        SourceFolder = Directory.CreateDirectory(Path.Combine(_root, "source")).FullName;
        TargetFolder = Path.Combine(_root, "target");
        Consent = consent ?? ((_, _) => ValueTask.FromResult(OfferAnswer.Accept(TargetFolder)));
        SenderNode = Network.AddNode();
        ReceiverNode = Network.AddNode();
        Sender = NewEngine(SenderNode, "sender");
        Receiver = NewEngine(ReceiverNode, "receiver");
    }

    public TimeProvider Time { get; }

    public IncomingLimits Limits { get; }

    public MemoryNetwork Network { get; } = new();

    public BlockPool Blocks { get; } = new() { PoisonOnReturn = true };

    public ConsentPolicy Consent { get; set; }

    public string SourceFolder { get; }

    public string TargetFolder { get; }

    public MemoryNode SenderNode { get; }

    public MemoryNode ReceiverNode { get; }

    public TransferEngine Sender { get; private set; }

    public TransferEngine Receiver { get; private set; }

    /// <summary>Ends the receiver as an orderly stop of its process does, and starts another with the same identity.</summary>
    public async Task RestartReceiverAsync()
    {
        _engines.Remove(Receiver);
        await Receiver.DisposeAsync();
        Receiver = NewEngine(ReceiverNode, "receiver");
    }

    /// <summary>Ends the sender and starts another with the same identity.</summary>
    public async Task RestartSenderAsync()
    {
        _engines.Remove(Sender);
        await Sender.DisposeAsync();
        Sender = NewEngine(SenderNode, "sender");
    }

    /// <summary>Makes a source file with content that depends on its path.</summary>
    public string AddFile(string path, int size)
    {
        string full = Path.Combine(SourceFolder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        byte[] content = new byte[size];
        new Random(path.Aggregate(size, (hash, letter) => hash * 31 + letter)).NextBytes(content);
        File.WriteAllBytes(full, content);
        return full;
    }

    public FastShare.Transfer.Transfer Send(SendOptions? options = null, params string[] paths) =>
        Sender.Send(ReceiverNode.LocalPeer, paths.Length > 0
            ? paths : Directory.GetFileSystemEntries(SourceFolder), options ?? new SendOptions());

    public FastShare.Transfer.Transfer Send(TransferSource source, SendOptions? options = null) =>
        Sender.Send(ReceiverNode.LocalPeer, source, options ?? new SendOptions());

    /// <summary>The next transfer that came or comes, in the order of coming: one that has ended by now, too.</summary>
    public async Task<FastShare.Transfer.Transfer> IncomingAsync(CancellationToken cancellationToken) =>
        await _incoming.Reader.ReadAsync(cancellationToken);

    /// <summary>Differences between what was sent and what arrived, one a line; empty: none.</summary>
    public string Differences()
    {
        var source = Describe(SourceFolder);
        var target = Directory.Exists(TargetFolder) ? Describe(TargetFolder) : [];
        return string.Join(
            '\n', source.Except(target).Select(line => "missing " + line).Concat(target.Except(source).Select(line => "surplus " + line)));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (TransferEngine engine in _engines.ToArray()) await engine.DisposeAsync();
        await Task.WhenAll(_watching);
        await SenderNode.WhenIdleAsync();
        await ReceiverNode.WhenIdleAsync();
        Directory.Delete(_root, recursive: true);
        // A source's or a sink's call that nobody waits for any more gives its block back when it returns.
        await Eventually.BecomesTrueAsync(() => Blocks.RentedBlocks == 0, $"the {Blocks.RentedBlocks} blocks left are returned");
    }

    private static HashSet<string> Describe(string folder)
    {
        var lines = new HashSet<string>(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(folder, path);
            bool isFolder = Directory.Exists(path);
            string content = isFolder
                ? "folder" : Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path)));
            string time = isFolder ? "" : File.GetLastWriteTimeUtc(path).Ticks.ToString(System.Globalization.CultureInfo.InvariantCulture);
            lines.Add($"{name} {content} {time}");
        }

        return lines;
    }

    private TransferEngine NewEngine(MemoryNode node, string name)
    {
        var engine = new TransferEngine(
            node, name, (offer, cancellationToken) => Consent(offer, cancellationToken), Limits, Time, Blocks, NullLoggerFactory.Instance,
            _instruments);
        node.Handle(TransferProtocol.ControlId, engine.Incoming.ServeControlAsync);
        node.Handle(TransferProtocol.DataId, engine.Incoming.ServeDataAsync);
        _engines.Add(engine);
        _watching.Add(WatchAsync(engine));
        return engine;
    }

    // From before anything can come: what ends at once is announced to nobody who looks later.
    private async Task WatchAsync(TransferEngine engine)
    {
        await foreach (FastShare.Transfer.Transfer transfer in engine.Incoming.WatchAsync(CancellationToken.None)) _incoming.Writer.TryWrite(transfer);
    }
}
