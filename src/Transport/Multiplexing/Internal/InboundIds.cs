namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// Which stream ids the remote side has used, in constant memory: each id opens once. Ids grow, yet concurrent opens of go-yamux
/// may cross on their way to the wire, so the last <see cref="Span"/> ids are remembered one by one; older ones count as used.
/// Not thread-safe: guarded by the connection's gate.
/// </summary>
internal sealed class InboundIds
{
    /// <summary>How far behind the highest id an id may come: four times the 256 opens that go and rust leave unacknowledged.</summary>
    public const int Span = 1024;

    private readonly ulong[] _used = new ulong[Span / 64]; // ring of bits, by id / 2
    private long _highest = -1; // id / 2

    /// <summary>Marks <paramref name="id"/> (of the right parity) as used. False: it was used before.</summary>
    public bool TryUse(uint id)
    {
        long index = id >> 1;
        if (index > _highest)
        {
            if (index - _highest >= Span) Array.Clear(_used);
            else for (long skipped = _highest + 1; skipped <= index; skipped++) Word(skipped) &= ~Bit(skipped);
            _highest = index;
        }
        else if (_highest - index >= Span || (Word(index) & Bit(index)) != 0)
        {
            return false;
        }

        Word(index) |= Bit(index);
        return true;
    }

    private ref ulong Word(long index) => ref _used[index % Span / 64];

    private static ulong Bit(long index) => 1UL << (int)(index % 64);
}
