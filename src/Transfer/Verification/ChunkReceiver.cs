using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transport.Buffers;

namespace FastShare.Transfer.Verification;

/// <summary>What a chunk receiver hands its chunks to.</summary>
internal interface IChunkSink
{
    /// <summary>Bytes arrived.</summary>
    void Heard();

    /// <summary>A header arrived; false: the payload is to be passed over.</summary>
    /// <exception cref="TransferException">The session is over.</exception>
    bool Expects(in ChunkHeader header);

    /// <summary>A payload whose digest is right; may wait for storage.</summary>
    ValueTask StoreAsync(ChunkHeader header, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken);

    /// <summary>A payload's digest is wrong.</summary>
    /// <exception cref="TransferException">The session is over.</exception>
    void Mismatched(in ChunkHeader header);
}

/// <summary>
/// Takes chunk frames from one data stream: header, payload, digest, in this order; nothing unverified is handed on. Used by one
/// loop.
/// </summary>
/// <remarks>
/// A chunk (1 MiB) may be larger than the stream's window, so waiting for the whole payload in the stream's buffer could wait for
/// ever. A payload that has arrived in one piece is verified and stored where it lies; any other is gathered in a pooled block, one
/// copy, piece by piece, which returns credit at once. So a lane holds one block at most, and only while a payload arrives.
/// </remarks>
internal sealed class ChunkReceiver(PipeReader input, IChunkSink sink, BlockPool blocks, StageMeter.Clock clock)
{
    // Below this, verifying costs little more than reading the clock twice.
    private const int TimedBytes = 16 << 10;

    /// <summary>What is taken of the stream's buffer at once, where chunks are small: credit is returned after it.</summary>
    private const int BytesAtOnce = 64 << 10;

    private readonly Digester _digester = new();
    private volatile bool _isWithinChunk;

    /// <summary>Whether it waits for the rest of a payload. Thread-safe.</summary>
    public bool IsWithinChunk => _isWithinChunk;

    /// <summary>Runs to the stream's end.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.ConnectionLost"/>: it ended within a chunk; or what the sink
    /// threw.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await input.ReadAtLeastAsync(ChunkHeader.Size, cancellationToken).ConfigureAwait(false);
            sink.Heard();
            if (result.Buffer.IsEmpty) return;
            ReadOnlySequence<byte> rest = result.Buffer;
            for (long most = BytesAtOnce; most > 0 && TryTake(rest, out ChunkHeader small, out ReadOnlyMemory<byte> payload);)
            {
                await StoreWholeAsync(small, payload, cancellationToken).ConfigureAwait(false);
                rest = rest.Slice(ChunkHeader.Size + payload.Length);
                most -= ChunkHeader.Size + payload.Length;
            }

            if (rest.Length < result.Buffer.Length)
            {
                input.AdvanceTo(rest.Start);
                continue;
            }

            if (rest.Length < ChunkHeader.Size) throw Truncated();
            ChunkHeader header = ParseHeader(rest);
            input.AdvanceTo(rest.GetPosition(ChunkHeader.Size));
            if (header.IsHole)
            {
                if (!sink.Expects(header)) continue;
                if (_digester.OfZeros(header.Length) != header.Digest) sink.Mismatched(header);
                else await sink.StoreAsync(header, default, cancellationToken).ConfigureAwait(false);
            }
            else if (sink.Expects(header)) await ReceiveAsync(header, cancellationToken).ConfigureAwait(false);
            else await SkipAsync(header.Length, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>A chunk that is there with its header, and whose payload lies in one piece.</summary>
    private static bool TryTake(in ReadOnlySequence<byte> buffer, out ChunkHeader header, out ReadOnlyMemory<byte> payload)
    {
        header = default;
        payload = default;
        if (buffer.Length < ChunkHeader.Size) return false;
        header = ParseHeader(buffer);
        if (header.IsHole || buffer.Length - ChunkHeader.Size < header.Length) return false;
        ReadOnlySequence<byte> behind = buffer.Slice(ChunkHeader.Size, header.Length);
        payload = behind.First;
        return behind.IsSingleSegment;
    }

    private ValueTask StoreWholeAsync(in ChunkHeader header, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        if (!sink.Expects(header)) return default;
        BeginVerifying(header.Length);
        bool right = Digester.Of(payload.Span) == header.Digest;
        EndVerifying(header.Length);
        if (right) return sink.StoreAsync(header, payload, cancellationToken);
        sink.Mismatched(header);
        return default;
    }

    private static ChunkHeader ParseHeader(in ReadOnlySequence<byte> buffer)
    {
        if (buffer.FirstSpan.Length >= ChunkHeader.Size) return ChunkHeader.Parse(buffer.FirstSpan);
        Span<byte> header = stackalloc byte[ChunkHeader.Size];
        buffer.Slice(0, ChunkHeader.Size).CopyTo(header);
        return ChunkHeader.Parse(header);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReceiveAsync(ChunkHeader header, CancellationToken cancellationToken)
    {
        ReadResult result = await ReadPayloadAsync(cancellationToken).ConfigureAwait(false);
        if (result.Buffer.First.Length >= header.Length)
        {
            ReadOnlyMemory<byte> inPlace = result.Buffer.First[..header.Length];
            BeginVerifying(header.Length);
            bool right = Digester.Of(inPlace.Span) == header.Digest;
            EndVerifying(header.Length);
            if (!right) sink.Mismatched(header);
            else await sink.StoreAsync(header, inPlace, cancellationToken).ConfigureAwait(false);
            input.AdvanceTo(result.Buffer.GetPosition(header.Length));
            return;
        }

        // Larger than a block of the pool only where the sender chose chunks of 2 or 4 MiB.
        using IMemoryOwner<byte> block = header.Length <= blocks.MaxBufferSize
            ? blocks.Rent(header.Length) : MemoryPool<byte>.Shared.Rent(header.Length);
        Memory<byte> payload = block.Memory[..header.Length];
        for (int filled = 0; ;)
        {
            ReadOnlySequence<byte> piece = result.Buffer;
            if (piece.Length > payload.Length - filled) piece = piece.Slice(0, payload.Length - filled);
            BeginVerifying((int)piece.Length);
            piece.CopyTo(payload.Span[filled..]);
            // Digested while it is in the cache.
            _digester.Append(payload.Span.Slice(filled, (int)piece.Length));
            EndVerifying((int)piece.Length);
            filled += (int)piece.Length;
            input.AdvanceTo(piece.End);
            if (filled == payload.Length) break;
            if (result.IsCompleted) throw Truncated();
            result = await ReadPayloadAsync(cancellationToken).ConfigureAwait(false);
        }

        if (_digester.Finish() != header.Digest) sink.Mismatched(header);
        else await sink.StoreAsync(header, payload, cancellationToken).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> ReadPayloadAsync(CancellationToken cancellationToken)
    {
        _isWithinChunk = true;
        ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
        _isWithinChunk = false;
        sink.Heard();
        return result;
    }

    private void BeginVerifying(int bytes)
    {
        if (bytes >= TimedBytes) clock.Enter(TransferStage.Verifying);
    }

    private void EndVerifying(int bytes)
    {
        clock.Count(bytes);
        clock.Enter(TransferStage.Receiving);
    }

    private async ValueTask SkipAsync(int length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            ReadResult result = await ReadPayloadAsync(cancellationToken).ConfigureAwait(false);
            long skipped = Math.Min(length, result.Buffer.Length);
            length -= (int)skipped;
            input.AdvanceTo(result.Buffer.GetPosition(skipped));
            if (length > 0 && result.IsCompleted) throw Truncated();
        }
    }

    private static TransferException Truncated() => new(TransferError.ConnectionLost, "a data stream ended within a chunk");
}
