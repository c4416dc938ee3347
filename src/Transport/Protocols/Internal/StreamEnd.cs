using System.Buffers;
using System.IO.Pipelines;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>Small things about the ends of streams.</summary>
internal static class StreamEnd
{
    /// <summary>
    /// Discards what still comes until the remote side ends its direction; false if it sent more than
    /// <paramref name="limit"/> bytes. Resetting a stream instead can cost the remote side bytes it has not read yet.
    /// </summary>
    public static async ValueTask<bool> DrainAsync(PipeReader input, long limit, CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            limit -= result.Buffer.Length;
            input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted) return true;
            if (limit < 0) return false;
        }
    }

    /// <summary>Reads exactly <paramref name="destination"/>'s length; false if the remote side ended before the first byte.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>: it ended in between.</exception>
    public static async ValueTask<bool> ReadExactlyAsync(
        PipeReader input, Memory<byte> destination, string what, CancellationToken cancellationToken)
    {
        ReadResult result = await input.ReadAtLeastAsync(destination.Length, cancellationToken).ConfigureAwait(false);
        if (result.Buffer.Length < destination.Length)
        {
            bool atStart = result.Buffer.IsEmpty;
            input.AdvanceTo(result.Buffer.End);
            return atStart
                ? false
                : throw new TransportException(TransportError.ProtocolViolation, $"the peer ended the stream inside {what}");
        }

        ReadOnlySequence<byte> taken = result.Buffer.Slice(0, destination.Length);
        taken.CopyTo(destination.Span);
        input.AdvanceTo(taken.End);
        return true;
    }
}
