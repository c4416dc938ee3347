using System.Buffers;

namespace FastShare.Transport.Requests;

/// <summary>Messages that are bytes: sent and received as they are. An empty message is a message.</summary>
public sealed class BytesCodec : IMessageCodec<ReadOnlyMemory<byte>>
{
    private BytesCodec()
    {
    }

    /// <summary>The codec; it has no state.</summary>
    public static BytesCodec Instance { get; } = new();

    /// <inheritdoc/>
    public bool AllowsEmpty => true;

    /// <inheritdoc/>
    public void Encode(ReadOnlyMemory<byte> message, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        output.Write(message.Span);
    }

    /// <summary>A copy of the payload, which the caller owns.</summary>
    public ReadOnlyMemory<byte> Decode(in ReadOnlySequence<byte> payload) => payload.ToArray();
}
