using System.Buffers;
using System.Formats.Cbor;
using FastShare.Transport.Requests.Internal;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transport.Requests;

/// <summary>
/// Messages in CBOR (RFC 8949), written and read by two delegates: no reflection. With the conventions of
/// <see cref="SerdeCborWriting"/> and <see cref="SerdeCborReading"/> the bytes are those of rust-libp2p's <c>cbor::Behaviour</c>.
/// Thread-safe where the delegates are.
/// </summary>
/// <remarks>
/// A message is exactly one data item. Before the reading delegate sees anything, the whole of it is checked: well-formed, not nested
/// too deeply, no announced length beyond what is there, nothing behind it. Keys of a map are unique and text is UTF-8, else reading
/// it fails. So a delegate may recurse as deeply as the message does, and may trust a length as far as memory is concerned: it is at
/// most the message's own.
/// </remarks>
/// <typeparam name="T">The message.</typeparam>
public sealed class CborCodec<T> : IMessageCodec<T>
{
    private readonly Action<CborWriter, T> _write;
    private readonly Func<CborReader, T> _read;
    private readonly CborCodecOptions _options;

    /// <summary>Creates the codec.</summary>
    /// <param name="write">Writes one message as one data item.</param>
    /// <param name="read">Reads one data item, all of it.</param>
    /// <param name="options">Limits; null: the defaults.</param>
    public CborCodec(Action<CborWriter, T> write, Func<CborReader, T> read, CborCodecOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(write);
        ArgumentNullException.ThrowIfNull(read);
        _write = write;
        _read = read;
        _options = options ?? CborCodecOptions.Default;
    }

    /// <inheritdoc/>
    public void Encode(T message, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        CborWriter writer = CborPools.Writers.Get();
        _write(writer, message);
        int length = writer.BytesWritten;
        output.Advance(writer.Encode(output.GetSpan(length)));
        CborPools.Writers.Return(writer);
    }

    /// <inheritdoc/>
    public T Decode(in ReadOnlySequence<byte> payload)
    {
        ReadOnlyMemory<byte> bytes = payload.IsSingleSegment ? payload.First : payload.ToArray();
        CborStructure.Check(bytes.Span, _options.MaxDepth, _options.AllowIndefiniteLengths);
        CborReader reader = CborPools.Readers.Get();
        reader.Reset(bytes);
        T message;
        try
        {
            message = _read(reader);
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException or ArgumentException)
        {
            // The reader's own words for "another type stands here", "out of range" and "not UTF-8".
            throw new FormatException($"the CBOR message is no {typeof(T).Name}: {e.Message}", e);
        }

        if (reader.BytesRemaining != 0)
            throw new FormatException($"the CBOR message is no {typeof(T).Name}: {reader.BytesRemaining} bytes of it were left over");
        CborPools.Readers.Return(reader);
        return message;
    }
}

/// <summary>Limits of a <see cref="CborCodec{T}"/>. Immutable.</summary>
public sealed class CborCodecOptions
{
    /// <summary>The largest depth there is: <see cref="CborReader"/> itself goes no deeper.</summary>
    internal const int GreatestDepth = 64;

    /// <summary>The defaults.</summary>
    public static CborCodecOptions Default { get; } = new();

    /// <summary>Levels of arrays, maps and tags in a message that is read; 1 to 64. Default: 64, as System.Text.Json.</summary>
    public int MaxDepth
    {
        get;
        init => field = value is >= 1 and <= GreatestDepth
            ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value, $"the depth is 1 to {GreatestDepth}");
    } = GreatestDepth;

    /// <summary>
    /// Whether arrays, maps and strings without an announced length are read. Default: true; serde writes them for flattened structs
    /// and for iterators that do not know their length. They are never written.
    /// </summary>
    public bool AllowIndefiniteLengths { get; init; } = true;
}

/// <summary>Writers and readers that are used again. Those of a message that failed are not returned. Thread-safe.</summary>
file static class CborPools
{
    /// <summary>A writer that grew beyond it is not kept: its memory would stay.</summary>
    private const int LargestKept = 64 << 10;

    public static ObjectPool<CborWriter> Writers { get; } = new DefaultObjectPool<CborWriter>(new WriterPolicy());

    public static ObjectPool<CborReader> Readers { get; } = new DefaultObjectPool<CborReader>(new ReaderPolicy());

    private sealed class WriterPolicy : PooledObjectPolicy<CborWriter>
    {
        public override CborWriter Create() => new(CborConformanceMode.Strict);

        public override bool Return(CborWriter obj)
        {
            if (obj.BytesWritten > LargestKept) return false;
            obj.Reset();
            return true;
        }
    }

    private sealed class ReaderPolicy : PooledObjectPolicy<CborReader>
    {
        public override CborReader Create() => new(default, CborConformanceMode.Strict);

        public override bool Return(CborReader obj)
        {
            obj.Reset(default); // the message is its caller's
            return true;
        }
    }
}
