using System.Buffers;
using System.Buffers.Binary;
using FastShare.Transport.Buffers;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// The reading half of a Noise channel without input: received bytes in, plaintext out. One caller at a time; allocates nothing in
/// steady state.
/// </summary>
/// <remarks>
/// Records are opened straight into the reader's memory where they fit, else in place. The block grows with what a receive yields and
/// shrinks to a page when the connection falls idle, so a thousand idle peers cost pages, not megabytes.
/// </remarks>
internal sealed class NoiseRecordOpener(NoiseCipherState cipher, BlockPool pool, ConnectionCounters? counters = null) : IDisposable
{
    /// <summary>Records without content are legal, but a peer that sends nothing else only costs time.</summary>
    public const int MaxEmptyRecords = 1000;

    private const int LengthPrefix = 2;

    // What an idle connection waits with, and what a fast sender fills: at least one whole record, and what it seals at once. Every busy
    // connection has one of its own, so with many of them larger ones only push each other, and everything else, out of the processor's caches.
    private const int IdleBlock = 4 << 10, BulkBlock = 256 << 10;

    // Receives below this size are no bulk: once drained, the block goes back.
    private const int BulkReceive = 32 << 10;

    private IMemoryOwner<byte>? _owner;
    private Memory<byte> _block;
    private int _start; // received, not yet opened: _start to _end
    private int _end;
    private int _plainStart; // opened in place, not yet read
    private int _plainCount;
    private int _emptyInRow;
    private int _offered; // length of the memory last handed out to receive into
    private int _received; // bytes that came into it

    /// <summary>Whether received bytes wait for the rest of their record.</summary>
    public bool IsMidRecord => _start < _end;

    /// <summary>
    /// Reads what complete records give, as much as fits without cutting a second record; 0 if more must be received first.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>: forged, damaged, replayed, reordered, or too
    /// short; <see cref="TransportError.LimitExceeded"/>. Nothing of that record was delivered, and every further call fails
    /// too.</exception>
    public int Read(Span<byte> destination)
    {
        if (_plainCount > 0) return TakePlain(destination);
        int total = 0;
        while (total < destination.Length && TryPeekRecord(out int length))
        {
            if (length - cipher.TagLength > destination.Length - total)
            {
                if (total > 0) break;
                OpenInPlace(length);
                return TakePlain(destination);
            }

            try
            {
                total += OpenInto(destination[total..], length);
            }
            catch (TransportException) when (total > 0)
            {
                break; // what came before is good; the record stays, so the next call fails again
            }
        }

        return total;
    }

    private int TakePlain(Span<byte> destination)
    {
        int count = Math.Min(destination.Length, _plainCount);
        _block.Span.Slice(_plainStart, count).CopyTo(destination);
        _plainStart += count;
        _plainCount -= count;
        return count;
    }

    private bool TryPeekRecord(out int length)
    {
        length = 0;
        if (_end - _start < LengthPrefix) return false;
        length = BinaryPrimitives.ReadUInt16BigEndian(_block.Span[_start..]);
        return length < cipher.TagLength || _end - _start >= LengthPrefix + length; // too short: refused without waiting
    }

    private int OpenInto(Span<byte> destination, int length)
    {
        ReadOnlySpan<byte> record = CheckedRecord(length);
        int count = length - cipher.TagLength;
        if (count == 0 && _emptyInRow == MaxEmptyRecords)
            throw new TransportException(TransportError.ProtocolViolation, $"the peer sent {MaxEmptyRecords} empty records in a row");
        Open(record, destination[..count]);
        _emptyInRow = count == 0 ? _emptyInRow + 1 : 0;
        return count;
    }

    private void OpenInPlace(int length)
    {
        ReadOnlySpan<byte> record = CheckedRecord(length);
        int start = _start + LengthPrefix;
        int count = length - cipher.TagLength;
        Open(record, _block.Span.Slice(start, count));
        _plainStart = start;
        _plainCount = count;
        _emptyInRow = 0;
    }

    private ReadOnlySpan<byte> CheckedRecord(int length) => length >= cipher.TagLength
        ? _block.Span.Slice(_start + LengthPrefix, length)
        : throw new TransportException(
            TransportError.ProtocolViolation, $"the peer sent a sealed record of {length} bytes; the shortest has {cipher.TagLength}");

    private void Open(ReadOnlySpan<byte> record, Span<byte> plaintext)
    {
        long start = counters?.Begin(record.Length) ?? 0;
        if (!cipher.TryOpen(default, record, plaintext))
            throw new TransportException(
                TransportError.ProtocolViolation, "a sealed record does not decrypt: it was damaged or forged on the way");
        counters?.Add(ConnectionStage.Open, start, plaintext.Length);
        _start += LengthPrefix + record.Length;
    }

    /// <summary>Memory to receive into, after <see cref="Read"/> gave 0. Valid until <see cref="Received"/>.</summary>
    public Memory<byte> GetReceiveMemory()
    {
        int have = _end - _start;
        int needed = have >= LengthPrefix ? LengthPrefix + BinaryPrimitives.ReadUInt16BigEndian(_block.Span[_start..]) : LengthPrefix;
        bool filled = _offered > 0 && _received == _offered;
        if (have == 0)
        {
            _start = _end = 0;
            if (!filled && _received < BulkReceive && _block.Length > IdleBlock) ReleaseBlock();
        }

        if (_block.Length < needed || (filled && _block.Length < BulkBlock)) MoveToLargerBlock();
        else if (_block.Length - _end < Math.Max(needed - have, _block.Length / 2)) MoveToStart(_block);
        Memory<byte> free = _block[_end..];
        _offered = free.Length;
        return free;
    }

    /// <summary>Says how many bytes came into the memory handed out.</summary>
    public void Received(int count)
    {
        _received = count;
        _end += count;
    }

    private void MoveToLargerBlock()
    {
        IMemoryOwner<byte> larger = pool.Rent(_block.IsEmpty ? IdleBlock : BulkBlock);
        MoveToStart(larger.Memory);
        ReleaseBlock();
        _owner = larger;
        _block = larger.Memory;
    }

    // Moves at most one partial record.
    private void MoveToStart(Memory<byte> target)
    {
        _block.Span[_start.._end].CopyTo(target.Span);
        _end -= _start;
        _start = 0;
    }

    private void ReleaseBlock()
    {
        _owner?.Dispose();
        _owner = null;
        _block = default;
    }

    /// <summary>Returns the block and wipes the key.</summary>
    public void Dispose()
    {
        ReleaseBlock();
        _start = _end = _plainCount = 0;
        cipher.Dispose();
    }
}
