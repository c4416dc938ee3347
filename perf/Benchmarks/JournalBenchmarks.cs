using System.Buffers;
using BenchmarkDotNet.Attributes;
using FastShare.Transfer;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Benchmarks;

/// <summary>
/// What a checkpoint adds to the resume journal after 16 more chunks: their entry, and with <see cref="Append"/> the slot and its
/// sync, on whatever the temporary folder stands on.
/// </summary>
[MemoryDiagnoser]
public class JournalBenchmarks
{
    private const int Chunks = 16;
    private const uint Serial = 9;

    private readonly ArrayBufferWriter<byte> _entries = new(4096);
    private string _folder = "";
    private IStorageFolder _staging = null!;
    private JournalFiles _journal = null!;

    [GlobalSetup]
    public void SetUp()
    {
        _folder = Directory.CreateTempSubdirectory("fastshare-journal-").FullName;
        _staging = ReceiveStoreOptions.MachineStorage.OpenDestination(_folder);
        _journal = new JournalFiles(_staging, new ResumeJournal(new TransferId(1)));
        JournalEntry.WriteFile(_entries, new StagedFile(1, 1, Serial, new ChunkMap(1 << 30, 1 << 20)));
        _journal.Restart(_entries.WrittenSpan);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        _journal.Dispose();
        _staging.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Benchmark]
    public int Encode()
    {
        _entries.ResetWrittenCount();
        JournalEntry.WriteChunks(_entries, Serial, first: 5, Chunks);
        _entries.GetSpan(Chunks * 16)[..(Chunks * 16)].Clear();
        _entries.Advance(Chunks * 16);
        return _entries.WrittenCount;
    }

    [Benchmark]
    public long Append()
    {
        Encode();
        _journal.Commit(_entries.WrittenSpan);
        return _journal.BytesWritten;
    }
}
