using System.Buffers;
using System.Buffers.Binary;
using FastShare.Transport.Buffers;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// The writing half of a Noise channel without output: turns writes into sealed records (<c>u16 length, ciphertext, tag</c>) in one
/// pooled wire buffer. One caller at a time; allocates nothing in steady state.
/// </summary>
/// <remarks>
/// Small writes are collected in place in an open record, which is sealed when it is full, when a large write comes, or at the end of
/// the batch. Large writes are sealed straight from the caller's memory: one pass over the payload.
/// </remarks>
internal sealed class NoiseRecordSealer(NoiseCipherState cipher, BlockPool pool) : IDisposable
{
    /// <summary>
    /// Writes, and ends of writes, up to this many bytes join an open record: below it a record of their own costs more than a copy.
    /// </summary>
    public const int SmallWrite = 4 << 10;

    // Batches up to this size make do with this block.
    private const int SmallBlock = 64 << 10;
    private const int LengthPrefix = 2;
    private const int NoRecord = -1;

    // Most plaintext in one record: Noise's 65535 bytes less the tag. rust, go and js-libp2p all accept it.
    private readonly int _maxPlaintext = ushort.MaxValue - cipher.TagLength;

    private readonly int _overhead = LengthPrefix + cipher.TagLength; // what a record has besides its plaintext

    private IMemoryOwner<byte>? _owner;
    private Memory<byte> _block;
    private int _sealed; // bytes of closed records
    private int _open = NoRecord; // where the open record starts; always _sealed
    private int _openCount; // plaintext in the open record

    /// <summary>Bytes on the wire that the batch will take.</summary>
    public int Pending => _open == NoRecord ? _sealed : _sealed + _openCount + _overhead;

    /// <summary>Takes all of <paramref name="data"/> into the batch.</summary>
    /// <exception cref="InvalidOperationException">The batch would outgrow the largest block: it was not sent in time.</exception>
    /// <exception cref="TransportException"><see cref="TransportError.LimitExceeded"/>: no nonces are left.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (data.Length > SmallWrite) CloseRecord();
        while (data.Length > SmallWrite)
        {
            int count = Math.Min(data.Length, _maxPlaintext);
            EnsureRoom(count + _overhead);
            Seal(data[..count]);
            data = data[count..];
        }

        if (!data.IsEmpty) Append(data);
    }

    private void Append(ReadOnlySpan<byte> data)
    {
        if (_open != NoRecord && _openCount + data.Length > _maxPlaintext) CloseRecord();
        EnsureRoom((_open == NoRecord ? 0 : _openCount) + data.Length + _overhead);
        if (_open == NoRecord)
        {
            _open = _sealed;
            _openCount = 0;
        }

        data.CopyTo(_block.Span[(_open + LengthPrefix + _openCount)..]);
        _openCount += data.Length;
    }

    private void CloseRecord()
    {
        if (_open == NoRecord) return;
        Seal(_block.Span.Slice(_open + LengthPrefix, _openCount));
        _open = NoRecord;
    }

    // The plaintext may stand where its ciphertext goes.
    private void Seal(ReadOnlySpan<byte> plaintext)
    {
        Span<byte> record = _block.Span.Slice(_sealed, plaintext.Length + _overhead);
        cipher.Seal(default, plaintext, record[LengthPrefix..]);
        BinaryPrimitives.WriteUInt16BigEndian(record, (ushort)(record.Length - LengthPrefix));
        _sealed += record.Length;
    }

    // Room for this many bytes behind the closed records.
    private void EnsureRoom(int count)
    {
        if (_block.Length - _sealed >= count) return;
        if (_sealed + count > pool.MaxBufferSize)
            throw new InvalidOperationException("the batch in hand must be flushed before more is written");
        IMemoryOwner<byte> larger = pool.Rent(_sealed + count <= SmallBlock ? SmallBlock : pool.MaxBufferSize);
        int used = _open == NoRecord ? _sealed : _open + LengthPrefix + _openCount;
        _block.Span[..used].CopyTo(larger.Memory.Span);
        _owner?.Dispose();
        _owner = larger;
        _block = larger.Memory;
    }

    /// <summary>Closes the open record and returns the batch, valid until <see cref="Reset"/>. Empty if nothing was written.</summary>
    public ReadOnlyMemory<byte> Finish()
    {
        CloseRecord();
        return _block[.._sealed];
    }

    /// <summary>
    /// Begins the next batch, after the last one was sent. The block goes back, and is the first to be rented again: while it is warm in
    /// the processor's cache, for this connection or for another that has its turn.
    /// </summary>
    public void Reset()
    {
        _sealed = 0;
        ReleaseBlock();
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
        _sealed = 0;
        _open = NoRecord;
        cipher.Dispose();
    }
}
