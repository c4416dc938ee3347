using System.Collections.Concurrent;
using System.Security.Cryptography;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;
using FastShare.Transport.Buffers;

namespace FastShare.Transfer.Sessions;

/// <summary>What the sender of one transfer keeps from connection to connection. Thread-safe.</summary>
internal sealed class SendState : IAsyncDisposable
{
    private readonly ConcurrentDictionary<uint, OutgoingStream> _streams = new(); // files until they are settled, a stream for good
    private readonly BlockPool _blocks;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<uint, OutgoingFile> _begun = new();
    private readonly Lock _gate = new();
    private readonly HashSet<uint> _failed = []; // guarded by _gate
    private readonly List<Task> _released = []; // guarded by _gate: streams whose reads did not end at once
    private readonly EntrySet _settled = new(); // guarded by _gate

    private SendState(
        Transfer transfer, SourceManifest manifest, byte[] key, SendOptions options, string senderName, BlockPool blocks, TimeProvider time)
    {
        Transfer = transfer;
        Manifest = manifest;
        Key = key;
        Options = options;
        SenderName = senderName;
        _blocks = blocks;
        _time = time;
        Span<byte> instance = stackalloc byte[16];
        RandomNumberGenerator.Fill(instance);
        Instance = System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(instance);
    }

    /// <summary>Sends files and folders.</summary>
    public static SendState ForPaths(
        Transfer transfer, IReadOnlyList<string> paths, SendOptions options, string senderName, BlockPool blocks, TimeProvider time) =>
        new(transfer, new SourceManifest(paths, options.KeepLinks), TransferId.KeyOf(paths), options, senderName, blocks, time);

    /// <summary>Sends what can be read only once: no other transfer can go on with it, so its key is random.</summary>
    public static SendState ForStream(
        Transfer transfer, TransferSource source, SendOptions options, string senderName, BlockPool blocks, TimeProvider time)
    {
        (Stream stream, bool leaveOpen) = source.Take();
        long now = (time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;
        var entry = new ManifestEntry(0, EntryKind.Stream, source.Name, source.Length ?? ManifestEntry.UnknownSize, -1, now, null);
        byte[] key = RandomNumberGenerator.GetBytes(TransferId.KeyLength);
        var state = new SendState(transfer, new SourceManifest([], keepLinks: false, entry), key, options, senderName, blocks, time)
        {
            IsStream = true,
        };
        transfer.Meter.AddTotal(1, entry.AnnouncedBytes, source.Length is null ? 1 : 0);
        state._streams[entry.Id] = state.NewStream(entry, stream, leaveOpen);
        return state;
    }

    public Transfer Transfer { get; }

    public SendOptions Options { get; }

    public string SenderName { get; }

    public SourceManifest Manifest { get; }

    public byte[] Key { get; }

    public UInt128 Instance { get; }

    /// <summary>Whether it sends a stream, which no other run can go on with, and whose failure is the whole transfer's.</summary>
    public bool IsStream { get; private init; }

    /// <summary>Whether the receiver ever accepted, on any connection. Written by the attempt at hand.</summary>
    public bool WasAccepted { get; set; }

    /// <summary>The file's digests, kept until it is settled.</summary>
    public OutgoingFile Begin(ManifestEntry entry) =>
        _begun.GetOrAdd(entry.Id, static (_, entry) => new OutgoingFile(entry, ChunkSize.DefaultBits), entry);

    /// <summary>The file's digests were told and it is sent all the same: none of it was sent before.</summary>
    public void Forget(uint id) => _begun.TryRemove(id, out _);

    public bool TryGetBegun(uint id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out OutgoingFile? file) =>
        _begun.TryGetValue(id, out file);

    /// <summary>
    /// The entry as a stream. A file that a receiver wants as one is opened anew if what it wants is its start.
    /// </summary>
    public OutgoingStream BeginStream(SourceEntry source, long from)
    {
        uint id = source.Entry.Id;
        if (_streams.TryGetValue(id, out OutgoingStream? stream))
        {
            if (source.Entry.Kind == EntryKind.Stream || from > 0 || !stream.HasForgotten) return stream;
            Release(id);
        }

        if (source.Entry.Kind == EntryKind.Stream) throw new InvalidOperationException("a stream has no path to be opened by");
        return _streams.GetOrAdd(id, _ => NewStream(source.Entry, new SourceFileStream(source), leaveOpen: false));
    }

    public bool TryGetStream(uint id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out OutgoingStream? stream) =>
        _streams.TryGetValue(id, out stream);

    /// <summary>Whether the file failed here or was rejected there: it is not tried again.</summary>
    public bool HasFailed(uint id)
    {
        lock (_gate) return _failed.Contains(id);
    }

    /// <summary>Whether the file is delivered, or failed.</summary>
    public bool IsSettled(uint id)
    {
        lock (_gate) return _settled.Contains(id);
    }

    /// <summary>The receiver has the file. Counts it once; true the first time.</summary>
    public bool SettleDelivered(ManifestEntry entry)
    {
        if (!TrySettle(entry.Id)) return false;
        _begun.TryRemove(entry.Id, out _);
        long size = _streams.TryGetValue(entry.Id, out OutgoingStream? stream) && stream.End is { } end ? end.Size : entry.AnnouncedBytes;
        Transfer.Meter.AddFile(size);
        Release(entry.Id);
        return true;
    }

    /// <summary>The file failed. Counts and tells it once; true the first time.</summary>
    public bool SettleFailed(ManifestEntry entry, TransferException failure)
    {
        if (!TrySettle(entry.Id)) return false;
        lock (_gate) _failed.Add(entry.Id);
        _begun.TryRemove(entry.Id, out _);
        Release(entry.Id);
        Transfer.TellFailure(failure);
        return true;
    }

    /// <summary>Ends every stream. Nobody uses them any more.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (uint id in _streams.Keys) Release(id);
        Task[] released;
        lock (_gate) released = [.. _released];
        await Task.WhenAll(released).ConfigureAwait(false);
    }

    private OutgoingStream NewStream(ManifestEntry entry, Stream source, bool leaveOpen) =>
        new(entry, source, leaveOpen, Options.MaxBufferedBytes, _blocks, Transfer.Meter, _time);

    private void Release(uint id)
    {
        if (!_streams.TryGetValue(id, out OutgoingStream? stream)) return;
        // A receiver that lost the connection after its last word may ask about a stream once more.
        if (stream.Entry.Kind == EntryKind.File) _streams.TryRemove(id, out _);
        Task released = stream.DisposeAsync().AsTask();
        if (released.IsCompletedSuccessfully) return;
        lock (_gate) _released.Add(released);
    }

    private bool TrySettle(uint id)
    {
        lock (_gate) return _settled.Add(id);
    }
}
