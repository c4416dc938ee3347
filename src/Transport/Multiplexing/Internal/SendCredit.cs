namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// How many payload bytes the remote side allows on one stream. Not thread-safe: guarded by the connection's gate.
/// </summary>
internal struct SendCredit
{
    /// <summary>What both sides assume at the start, without any exchange (yamux spec, "Flow control"): 256 KiB.</summary>
    public const uint Initial = 256 << 10;

    public SendCredit() => Available = Initial;

    /// <summary>Bytes that may be sent now.</summary>
    public uint Available { get; private set; }

    /// <summary>
    /// Adds what a window update grants. False, with nothing changed, if the sum would exceed 2^32−1: wrapping around (go-yamux)
    /// would lose credit, and panicking was CVE-2026-31814.
    /// </summary>
    public bool TryAdd(uint delta)
    {
        if (delta > uint.MaxValue - Available) return false;
        Available += delta;
        return true;
    }

    /// <summary>Spends credit for bytes about to be sent.</summary>
    public void Take(int count)
    {
        if ((uint)count > Available) throw new InvalidOperationException($"{count} bytes to send with credit for {Available}");
        Available -= (uint)count;
    }
}
