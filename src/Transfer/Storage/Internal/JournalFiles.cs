using System.Buffers;
using System.Globalization;
using System.IO.Hashing;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The files a <see cref="ResumeJournal"/> lives in: two slots, written in turn and each made durable before the other one is touched, so
/// that one torn by a crash leaves the older one; and the log they go on from. One user at a time. After a failed write or sync nothing
/// more is written.
/// </summary>
internal sealed class JournalFiles : IDisposable
{
    /// <summary>Names of the two slots, in the staging folder.</summary>
    public static readonly IReadOnlyList<string> SlotNames = ["journal-a", "journal-b"];

    // Logs shorter than this are not worth being written anew.
    private const long SmallLog = 256 << 10;

    private const string LogPrefix = "journal-log.";

    private readonly IStorageFolder _staging;
    private readonly ResumeJournal _journal;
    private readonly IStorageFile[] _slots = new IStorageFile[2];
    private readonly ArrayBufferWriter<byte> _slot = new(4096), _tail = new(4096); // reused from slot to slot
    private readonly XxHash128 _logDigest = new();
    private IStorageFile? _log;
    private uint _logSerial;
    private long _logLength, _reserved;
    private int _next; // the slot to write next: not the newest valid one
    private ulong _generation;
    private long _compactAt = SmallLog;
    private bool _failed;

    /// <summary>Opens or makes the slots and reads the newest valid one with its log.</summary>
    public JournalFiles(IStorageFolder staging, ResumeJournal journal)
    {
        _staging = staging;
        _journal = journal;
        try
        {
            JournalSlot?[] found = new JournalSlot?[2];
            for (int i = 0; i < 2; i++)
            {
                _slots[i] = Open(SlotNames[i]) ?? staging.CreateFile(SlotNames[i], 0x180);
                if (_slots[i].Stat().Size < ResumeJournal.MaxSlotBytes) _slots[i].Reserve(ResumeJournal.MaxSlotBytes);
                found[i] = journal.Decode(ReadAll(_slots[i], ResumeJournal.MaxSlotBytes));
            }

            int newest = (found[1]?.Generation ?? 0) > (found[0]?.Generation ?? 0) ? 1 : 0;
            _generation = Math.Max(found[0]?.Generation ?? 0, found[1]?.Generation ?? 0);
            foreach (int i in (ReadOnlySpan<int>)[newest, 1 - newest])
            {
                if (found[i] is not { } slot || Replay(slot) is not { } files) continue;
                Found = files;
                _next = 1 - i;
                break;
            }

            foreach (string name in staging.List())
            {
                if (TryParseLog(name, out uint serial)) _logSerial = Math.Max(_logSerial, serial);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What an earlier run left; null: nothing. Reset once used, for it holds the whole log.</summary>
    public IReadOnlyDictionary<uint, JournalFile>? Found { get; set; }

    /// <summary>Whether a write failed: what it left is not known, so that nothing may follow.</summary>
    public bool HasFailed => _failed;

    /// <summary>Bytes that checkpoints have written, of slots and logs.</summary>
    public long BytesWritten { get; private set; }

    /// <summary>Whether most of the log tells of what is no more.</summary>
    /// <param name="live">Bytes it would have if written anew.</param>
    public bool IsWasteful(long live) => _logLength > Math.Max(_compactAt, 2 * live);

    /// <summary>Whether a name is one of the journal's.</summary>
    public static bool IsName(string name) => SlotNames.Contains(name) || TryParseLog(name, out _);

    /// <summary>
    /// Keeps room on the disk for entries of a length, where the system can: so that a disk that is full of data still takes the slot
    /// that says so.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.StorageFull"/>: there is no such room.</exception>
    public void Reserve(long bytes)
    {
        if (_log is null || _logLength + bytes <= _reserved) return;
        // doubled, so that many files cost few calls
        long wanted = _logLength + Math.Max(2 * bytes, 64 * 1024);
        _log.Reserve(wanted);
        _reserved = wanted;
    }

    /// <summary>Adds entries and makes them durable.</summary>
    public void Commit(ReadOnlySpan<byte> entries)
    {
        ThrowIfFailed();
        _failed = true;
        _tail.Write(entries);
        if (_tail.WrittenCount > ResumeJournal.MaxTailBytes)
        {
            Append(_tail.WrittenSpan);
            _log!.SyncData();
            _tail.ResetWrittenCount();
        }

        WriteSlot();
        _failed = false;
    }

    /// <summary>Begins a new log with what is alive, makes it durable, and removes older ones.</summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.StorageFull"/>: there is no room for another log, and the journal is as it was; or the journal failed.
    /// </exception>
    public void Restart(ReadOnlySpan<byte> entries)
    {
        ThrowIfFailed();
        string name = LogName(_logSerial + 1);
        IStorageFile fresh;
        try
        {
            fresh = _staging.CreateFile(name, 0x180);
            try
            {
                if (_reserved > 0) fresh.Reserve(entries.Length + 64 * 1024);
            }
            catch
            {
                fresh.Dispose();
                _staging.RemoveFile(name);
                throw;
            }
        }
        catch (TransferException e) when (e.Error == TransferError.StorageFull && _log is not null)
        {
            _compactAt = 2 * _logLength; // not tried again before long
            throw;
        }

        _failed = true;
        IStorageFile? old = _log;
        _log = fresh;
        old?.Dispose();
        _logSerial++;
        (_logLength, _reserved, _compactAt) = (0, 0, SmallLog);
        _logDigest.Reset();
        _tail.ResetWrittenCount();
        Append(entries);
        _log.SyncData();
        // the slot must not name a log that a crash can take away
        _staging.Sync();
        WriteSlot();
        _failed = false;
        // the slot that still names an older one is the next to be written over
        foreach (string there in _staging.List())
        {
            if (TryParseLog(there, out uint serial) && serial != _logSerial) _staging.RemoveFile(there);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IStorageFile? file in _slots) file?.Dispose();
        _log?.Dispose();
    }

    private static string LogName(uint serial) => string.Create(CultureInfo.InvariantCulture, $"{LogPrefix}{serial:x8}");

    private static bool TryParseLog(string name, out uint serial)
    {
        serial = 0;
        return name.Length == LogPrefix.Length + 8 && name.StartsWith(LogPrefix, StringComparison.Ordinal)
            && uint.TryParse(name.AsSpan(LogPrefix.Length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out serial);
    }

    private static byte[] ReadAll(IStorageFile file, long atMost)
    {
        byte[] bytes = new byte[Math.Min(file.Stat().Size, atMost)];
        int read = file.Read(0, bytes);
        return read == bytes.Length ? bytes : bytes[..read];
    }

    private void ThrowIfFailed()
    {
        if (_failed) throw new TransferException(TransferError.StorageFault, "The journal could not be written before.");
    }

    private void Append(ReadOnlySpan<byte> entries)
    {
        _log!.Write(_logLength, entries);
        _logDigest.Append(entries);
        _logLength += entries.Length;
        BytesWritten += entries.Length;
    }

    private void WriteSlot()
    {
        _journal.Encode(_slot, ++_generation, _logSerial, _logLength, _logDigest.GetCurrentHashAsUInt128(), _tail.WrittenSpan);
        IStorageFile file = _slots[_next];
        file.Write(0, _slot.WrittenSpan);
        file.SyncData();
        BytesWritten += _slot.WrittenCount;
        _next = 1 - _next;
    }

    private Dictionary<uint, JournalFile>? Replay(JournalSlot slot)
    {
        string name = LogName(slot.Log);
        using IStorageFile? log = Open(name);
        byte[] entries = log is null ? [] : ReadAll(log, slot.LogLength);
        if (entries.Length != slot.LogLength || XxHash128.HashToUInt128(entries) != slot.LogDigest) return null;
        var files = new Dictionary<uint, JournalFile>();
        return ResumeJournal.TryReplay(entries, files) && ResumeJournal.TryReplay(slot.Tail, files) ? files : null;
    }

    /// <summary>Opens what FastShare left; something else is never read or written through, but removed.</summary>
    private IStorageFile? Open(string name)
    {
        if (_staging.Stat(name) is not { } stat) return null;
        if (stat is { Kind: StorageKind.File, Links: 1, IsOwn: true } && _staging.OpenFile(name) is { } file) return file;
        _staging.RemoveFile(name);
        return null;
    }
}
