namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The two files a <see cref="ResumeJournal"/>'s slots live in, written in turn and each made durable before the next one is touched: a
/// slot torn by a crash leaves the other, older one. One user at a time.
/// </summary>
internal sealed class JournalFiles : IDisposable
{
    /// <summary>Names of the two files, in the staging folder.</summary>
    public static readonly IReadOnlyList<string> Names = ["journal-a", "journal-b"];

    private readonly IStorageFile[] _files = new IStorageFile[2];
    private long _reserved;
    private int _next; // the file the next slot goes to: not the one with the newest valid slot

    /// <summary>Opens or makes the files and reads the newest valid slot.</summary>
    public JournalFiles(IStorageFolder staging, ResumeJournal journal)
    {
        try
        {
            for (int i = 0; i < 2; i++)
            {
                _files[i] = Open(staging, Names[i]);
                JournalState? state = journal.Decode(Read(_files[i]));
                if (state is null || state.Generation <= (Newest?.Generation ?? 0)) continue;
                Newest = state;
                _next = 1 - i;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The newest valid slot found when opening; null if there is none. Reset once used, for it holds the whole file.</summary>
    public JournalState? Newest { get; set; }

    /// <summary>
    /// Keeps room on the disk for slots of a length, where the system can: so that a disk that is full of data still takes
    /// the slot that says so.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.StorageFull"/>: there is no such room.</exception>
    public void Reserve(long bytes)
    {
        if (bytes <= _reserved) return;
        // doubled, so that many files cost few calls
        long wanted = Math.Max(2 * bytes, 64 * 1024);
        foreach (IStorageFile file in _files) file.Reserve(wanted);
        _reserved = wanted;
    }

    /// <summary>Writes a slot over the older one and makes it durable.</summary>
    public void Write(ReadOnlySpan<byte> slot)
    {
        IStorageFile file = _files[_next];
        file.Write(0, slot);
        file.SyncData();
        _next = 1 - _next;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IStorageFile? file in _files) file?.Dispose();
    }

    private static IStorageFile Open(IStorageFolder staging, string name)
    {
        if (staging.Stat(name) is { } stat)
        {
            if (stat is { Kind: StorageKind.File, Links: 1, IsOwn: true } && staging.OpenFile(name) is { } file) return file;
            // not what FastShare left there: never written through
            staging.RemoveFile(name);
        }

        return staging.CreateFile(name, 0x180);
    }

    private static byte[] Read(IStorageFile file)
    {
        long size = file.Stat().Size;
        if (size > ResumeJournal.MaxBytes) return [];
        byte[] bytes = new byte[size];
        int read = file.Read(0, bytes);
        return read == bytes.Length ? bytes : bytes[..read];
    }
}
