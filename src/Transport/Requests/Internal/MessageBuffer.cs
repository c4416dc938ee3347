using System.Buffers;

namespace FastShare.Transport.Requests.Internal;

/// <summary>
/// Gathers one message in pooled memory, never more than a limit. One user at a time; whoever disposes it gives the memory back.
/// </summary>
/// <param name="limit">The most bytes it takes.</param>
internal sealed class MessageBuffer(int limit) : IBufferWriter<byte>, IDisposable
{
    private const int Smallest = 512;

    private byte[]? _bytes;

    /// <summary>Bytes gathered.</summary>
    public int Length { get; private set; }

    /// <summary>What was gathered; valid until disposed.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

    /// <summary>Adds bytes; false, without adding any, if that exceeds the limit.</summary>
    public bool TryAppend(in ReadOnlySequence<byte> source)
    {
        if (source.Length > limit - Length) return false;
        Reserve((int)source.Length);
        source.CopyTo(_bytes.AsSpan(Length));
        Length += (int)source.Length;
        return true;
    }

    /// <exception cref="MessageTooLongException">The limit is exceeded.</exception>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, (_bytes?.Length ?? 0) - Length);
        Length += count;
        if (Length > limit) throw new MessageTooLongException();
    }

    /// <remarks>Encoders may ask for more than they will use, so the limit is checked when they have used it.</remarks>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        if (sizeHint > Array.MaxLength - Length) throw new MessageTooLongException();
        Reserve(Math.Max(sizeHint, 1));
        return _bytes.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public void Dispose()
    {
        if (_bytes is null) return;
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = null;
        Length = 0;
    }

    private void Reserve(int count)
    {
        int free = (_bytes?.Length ?? 0) - Length;
        if (free >= count) return;
        long wanted = Math.Max(Smallest, Math.Max((long)Length + count, Math.Min(2L * Length, limit)));
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(wanted, Array.MaxLength));
        Written.Span.CopyTo(larger);
        if (_bytes is not null) ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
    }
}

/// <summary>A message exceeds the limit of its direction; whoever knows its name says which. Internal: never leaves the library.</summary>
internal sealed class MessageTooLongException : Exception
{
    public MessageTooLongException()
        : base("the message exceeds its limit")
    {
    }
}
