using System.Buffers;
using System.IO.Pipelines;

namespace FastShare.Transport.Requests.Internal;

/// <summary>Writes and reads whole messages: the end of a stream's direction is the end of its message.</summary>
internal static class MessageIo
{
    /// <summary>Messages up to this go out together with the stream's end, in one frame; longer ones are not copied.</summary>
    private const int SmallMessage = 16 << 10;

    /// <summary>Encodes a message into a buffer that the caller disposes.</summary>
    /// <exception cref="MessageTooLongException">It exceeds <paramref name="limit"/>.</exception>
    public static MessageBuffer Encode<T>(IMessageCodec<T> codec, T message, int limit)
    {
        var buffer = new MessageBuffer(limit);
        try
        {
            codec.Encode(message, buffer);
            return buffer;
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a message, whose end the caller sends: a small one is kept until then, so that both go out together; a long one has left.
    /// </summary>
    public static async ValueTask WriteAsync(PipeWriter output, ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        if (message.Length <= SmallMessage)
        {
            cancellationToken.ThrowIfCancellationRequested();
            output.Write(message.Span);
        }
        else
        {
            Demand(await output.WriteAsync(message, cancellationToken).ConfigureAwait(false));
        }
    }

    /// <summary>Sends a message, waits until it was handed to the operating system, and ends the direction.</summary>
    public static async ValueTask SendFlushedAsync(PipeWriter output, ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        Demand(await output.WriteAsync(message, cancellationToken).ConfigureAwait(false));
        await output.CompleteAsync().ConfigureAwait(false);
    }

    /// <summary>Reads to the direction's end and decodes.</summary>
    /// <returns>Whether there was a message: false if the direction was empty and the codec has no empty messages.</returns>
    /// <exception cref="MessageTooLongException">More came than <paramref name="limit"/>.</exception>
    public static async ValueTask<(bool Any, T Message)> ReceiveAsync<T>(
        PipeReader input, IMessageCodec<T> codec, int limit, CancellationToken cancellationToken)
    {
        MessageBuffer? gathered = null;
        try
        {
            while (true)
            {
                ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
                ReadOnlySequence<byte> buffer = result.Buffer;
                try
                {
                    if (buffer.Length > limit - (gathered?.Length ?? 0)) throw new MessageTooLongException();
                    if (result.IsCompleted && gathered is null) return Decode(codec, buffer);
                    if (!buffer.IsEmpty && !(gathered ??= new MessageBuffer(limit)).TryAppend(buffer)) throw new MessageTooLongException();
                }
                finally
                {
                    input.AdvanceTo(buffer.End); // consumed at once: only that gives the remote side credit for the rest
                }

                if (result.IsCompleted) return Decode(codec, new ReadOnlySequence<byte>(gathered!.Written));
            }
        }
        finally
        {
            gathered?.Dispose();
        }
    }

    private static (bool Any, T Message) Decode<T>(IMessageCodec<T> codec, in ReadOnlySequence<byte> payload) =>
        payload.IsEmpty && !codec.AllowsEmpty ? (false, default!) : (true, codec.Decode(payload));

    // The remote side does not want the rest of a message: there is no point in waiting for an answer to a part of it.
    private static void Demand(FlushResult result)
    {
        if (result.IsCanceled || result.IsCompleted)
            throw new TransportException(TransportError.StreamReset, "the remote side stopped reading before the message was complete");
    }
}
