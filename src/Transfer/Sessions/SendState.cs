using System.Collections.Concurrent;
using System.Security.Cryptography;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer.Sessions;

/// <summary>What the sender of one transfer keeps from connection to connection. Thread-safe.</summary>
internal sealed class SendState
{
    private readonly ConcurrentDictionary<uint, OutgoingFile> _begun = new();
    private readonly Lock _gate = new();
    private readonly HashSet<uint> _failed = []; // guarded by _gate
    private readonly EntrySet _settled = new(); // guarded by _gate

    public SendState(Transfer transfer, IReadOnlyList<string> paths, SendOptions options, string senderName)
    {
        Transfer = transfer;
        Options = options;
        SenderName = senderName;
        Manifest = new SourceManifest(paths, options.KeepLinks);
        Key = TransferId.KeyOf(paths);
        Span<byte> instance = stackalloc byte[16];
        RandomNumberGenerator.Fill(instance);
        Instance = System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(instance);
    }

    public Transfer Transfer { get; }

    public SendOptions Options { get; }

    public string SenderName { get; }

    public SourceManifest Manifest { get; }

    public byte[] Key { get; }

    public UInt128 Instance { get; }

    /// <summary>Whether the receiver ever accepted, on any connection. Written by the attempt at hand.</summary>
    public bool WasAccepted { get; set; }

    /// <summary>The file's digests, kept until it is settled.</summary>
    public OutgoingFile Begin(ManifestEntry entry) =>
        _begun.GetOrAdd(entry.Id, static (_, entry) => new OutgoingFile(entry, ChunkSize.DefaultBits), entry);

    /// <summary>The file's digests were told and it is sent all the same: none of it was sent before.</summary>
    public void Forget(uint id) => _begun.TryRemove(id, out _);

    public bool TryGetBegun(uint id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out OutgoingFile? file) =>
        _begun.TryGetValue(id, out file);

    /// <summary>Whether the file failed here or was rejected there: it is not tried again.</summary>
    public bool HasFailed(uint id)
    {
        lock (_gate) return _failed.Contains(id);
    }

    /// <summary>The receiver has the file. Counts it once; true the first time.</summary>
    public bool SettleDelivered(ManifestEntry entry)
    {
        if (!TrySettle(entry.Id)) return false;
        _begun.TryRemove(entry.Id, out _);
        Transfer.Meter.AddFile(entry.Size);
        return true;
    }

    /// <summary>The file failed. Counts and tells it once; true the first time.</summary>
    public bool SettleFailed(ManifestEntry entry, TransferException failure)
    {
        if (!TrySettle(entry.Id)) return false;
        lock (_gate) _failed.Add(entry.Id);
        _begun.TryRemove(entry.Id, out _);
        Transfer.TellFailure(failure);
        return true;
    }

    private bool TrySettle(uint id)
    {
        lock (_gate) return _settled.Add(id);
    }
}
