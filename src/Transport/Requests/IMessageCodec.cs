using System.Buffers;

namespace FastShare.Transport.Requests;

/// <summary>Turns messages into bytes and back. A message is all the bytes of one direction of a stream. Thread-safe.</summary>
/// <typeparam name="T">The message.</typeparam>
public interface IMessageCodec<T>
{
    /// <summary>Writes the message.</summary>
    void Encode(T message, IBufferWriter<byte> output);

    /// <summary>Reads a message; the payload is valid during the call only.</summary>
    /// <exception cref="FormatException">It is not a message.</exception>
    T Decode(in ReadOnlySequence<byte> payload);
}
