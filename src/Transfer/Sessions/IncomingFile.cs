using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// A file that is being received: from its first chunk, file end or plan with ranges until it is settled; across connections.
/// </summary>
internal sealed class IncomingFile(ManifestEntry entry, int chunkBits)
{
    /// <summary>Guards every field below; held while storage opens or finishes the file, never while a chunk is written.</summary>
    public Lock Gate { get; } = new();

    public ManifestEntry Entry { get; } = entry;

    public uint ChunkSize { get; } = Framing.ChunkSize.Of(entry.Size, chunkBits);

    /// <summary>Storage; null while closed.</summary>
    public ReceiveFile? Content { get; set; }

    /// <summary>Whether an earlier run's claims are still being read back.</summary>
    public bool IsVerifying { get; set; }

    /// <summary>
    /// Chunks that turned out damaged in staging after the plan had left them out; asked for once the sender has ended the file, for then it
    /// has begun it.
    /// </summary>
    public List<long> Damaged => field ??= []; // few files have any

    /// <summary>What the sender said at the file's end; null: not yet. A file of one chunk needs none.</summary>
    public FileEnd? End { get; set; }

    /// <summary>Whether more was asked for than is missing, so that a chunk that is there already is no fault.</summary>
    public bool AllowsDuplicates { get; set; }

    /// <summary>Whether the finished file was handed to storage for publication, or waits for the manifest's end.</summary>
    public bool IsReceived { get; set; }

    /// <summary>Lanes that write a chunk of it now: storage wants to be alone when a file is published or discarded.</summary>
    public int Writers { get; set; }

    /// <summary>Whether the file is settled: no chunk is taken any more, and storage is closed once nobody writes.</summary>
    public bool IsOver { get; set; }

    /// <summary>Whether what is staged is thrown away then.</summary>
    public bool DropsStaged { get; set; }

    /// <summary>Shown when the file is published.</summary>
    public UInt128 Root { get; set; }

    public long Chunks => Framing.ChunkSize.Count(Entry.Size, ChunkSize);
}
