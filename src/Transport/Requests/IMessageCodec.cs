using System.Buffers;

namespace FastShare.Transport.Requests;

/// <summary>Turns messages into bytes and back. One instance serves any number of requests at once: thread-safe, without state.</summary>
/// <remarks>A message is the whole of one direction of a stream; its end is the stream's, so it needs no length of its own.</remarks>
public interface IMessageCodec<T>
{
    /// <summary>
    /// Whether an empty payload is a message. If not, a peer that ends the stream without a byte has sent none, which shows as
    /// <see cref="RequestFailure.ResponseOmitted"/> instead of an error of decoding. Default: false.
    /// </summary>
    bool AllowsEmpty => false;

    /// <summary>Writes a message. Called once for each request, however often it is sent.</summary>
    /// <exception cref="FormatException">The message cannot be expressed.</exception>
    void Encode(T message, IBufferWriter<byte> output);

    /// <summary>
    /// Reads a message from everything that the peer sent in one direction, whose length was checked against the protocol's limit.
    /// The memory is valid during the call only.
    /// </summary>
    /// <exception cref="FormatException">The payload is not a message; text from it is escaped in the exception's message.</exception>
    T Decode(in ReadOnlySequence<byte> payload);
}
