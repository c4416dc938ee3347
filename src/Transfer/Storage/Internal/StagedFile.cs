using System.Globalization;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>What the store knows of a file in staging, whether it is open or not.</summary>
/// <param name="key"><see cref="ResumeJournal.KeyOf"/>.</param>
/// <param name="entryId">First half of the data file's name.</param>
/// <param name="serial">Second half: no name is used twice in the life of a staging folder.</param>
/// <param name="map">Its chunks.</param>
internal sealed class StagedFile(UInt128 key, uint entryId, uint serial, ChunkMap map)
{
    public UInt128 Key { get; } = key;

    public uint EntryId { get; } = entryId;

    public uint Serial { get; } = serial;

    public ChunkMap Map { get; } = map;

    /// <summary>Name of the data file: numbers only, nothing a peer named.</summary>
    public string Name => field ??= NameOf(EntryId, Serial);

    /// <summary>Whether the journal knows the file. Guarded by the store's checkpoint.</summary>
    public bool IsInJournal { get; set; }

    /// <summary>The open file; null while it is closed. Guarded by the store's gate.</summary>
    public ReceiveFile? Open { get; set; }

    /// <summary>A data file's name.</summary>
    public static string NameOf(uint entryId, uint serial) => $"{entryId:x8}.{serial:x8}";

    /// <summary>Reads a data file's name.</summary>
    public static bool TryParseName(string name, out uint entryId, out uint serial)
    {
        serial = 0;
        entryId = 0;
        return name.Length == 17 && name[8] == '.'
            && uint.TryParse(name.AsSpan(0, 8), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out entryId)
            && uint.TryParse(name.AsSpan(9), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out serial);
    }
}
