using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transport.Identity;
using FastShare.Transport.Security;

namespace FastShare.Transport.Protocols;

/// <summary>
/// multistream-select 1.0 over a connection's channel (security and multiplexer) or over a stream. Never reads a byte behind the
/// negotiation, so the agreed protocol finds everything that follows. Deadlines come through the tokens. Thread-safe.
/// </summary>
internal static class Multistream
{
    /// <summary>Proposes <paramref name="protocols"/> in their order and returns the one agreed on.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>: the peer refused all;
    /// <see cref="TransportError.ProtocolViolation"/>; <see cref="TransportError.ConnectionClosed"/>: it hung up.</exception>
    public static async ValueTask<string> SelectAsync(
        IByteChannel channel, IReadOnlyList<string> protocols, CancellationToken cancellationToken)
    {
        var dialer = new MultistreamDialer(protocols);
        if (!await RunAsync(channel, dialer, cancellationToken).ConfigureAwait(false))
            throw new TransportException(
                TransportError.ConnectionClosed, $"the peer closed the connection while {List(protocols)} was negotiated");
        return dialer.Agreed ?? throw Unsupported(protocols);
    }

    /// <summary>
    /// Answers proposals until one is supported and returns that, or null when the dialer gave up; <paramref name="listener"/> then
    /// knows what it had proposed.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>,
    /// <see cref="TransportError.LimitExceeded"/>.</exception>
    public static async ValueTask<string?> RespondAsync(
        IByteChannel channel, MultistreamListener listener, CancellationToken cancellationToken)
    {
        await RunAsync(channel, listener, cancellationToken).ConfigureAwait(false);
        return listener.Agreed;
    }

    /// <summary>Proposes <paramref name="protocols"/> in their order on a stream and returns the one agreed on.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>: the peer refused all;
    /// <see cref="TransportError.ProtocolViolation"/>; <see cref="TransportError.StreamReset"/>: it ended the stream. Reset the
    /// stream.</exception>
    public static async ValueTask<string> SelectAsync(
        IDuplexPipe stream, IReadOnlyList<string> protocols, CancellationToken cancellationToken)
    {
        var dialer = new MultistreamDialer(protocols);
        if (!await RunAsync(stream, dialer, cancellationToken).ConfigureAwait(false)) throw EndedEarly(protocols);
        return dialer.Agreed ?? throw Unsupported(protocols);
    }

    /// <summary>
    /// Answers proposals on a stream until <paramref name="supports"/> says yes to one and returns that, or null when the dialer
    /// gave up. What follows stays in the stream's reader.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>, <see cref="TransportError.LimitExceeded"/>.
    /// Reset the stream.</exception>
    public static ValueTask<string?> RespondAsync(
        IDuplexPipe stream, Func<string, bool> supports, CancellationToken cancellationToken) =>
        RespondAsync(stream, supports, beforeAnswer: null, cancellationToken);

    /// <inheritdoc cref="RespondAsync(IDuplexPipe, Func{string, bool}, CancellationToken)"/>
    /// <param name="stream">A stream of the remote side.</param>
    /// <param name="supports">Which protocols are served.</param>
    /// <param name="beforeAnswer">Awaited, with the protocol, before the answer that agrees to it is sent.</param>
    /// <param name="cancellationToken">Ends the negotiation.</param>
    public static async ValueTask<string?> RespondAsync(
        IDuplexPipe stream, Func<string, bool> supports, Func<string, ValueTask>? beforeAnswer, CancellationToken cancellationToken)
    {
        var listener = new MultistreamListener(supports);
        await RunAsync(stream, listener, cancellationToken, beforeAnswer).ConfigureAwait(false);
        return listener.Agreed;
    }

    /// <summary>The peer refused every proposal.</summary>
    internal static TransportException Unsupported(IReadOnlyList<string> protocols) =>
        new(TransportError.UnsupportedProtocol, $"the peer does not support {List(protocols)}");

    /// <summary>The peer ended the stream without an answer.</summary>
    internal static TransportException EndedEarly(IReadOnlyList<string> protocols) =>
        new(TransportError.StreamReset, $"the peer ended the stream before it answered the proposal of {List(protocols)}");

    private static string List(IReadOnlyList<string> protocols) => PeerText.Escape(string.Join(" or ", protocols));

    // False when the peer ended its direction before an agreement or refusal.
    private static async ValueTask<bool> RunAsync(IByteChannel channel, MultistreamNegotiation side, CancellationToken cancellationToken)
    {
        var output = new ArrayBufferWriter<byte>(64);
        byte[] message = new byte[MultistreamMessage.MaxEncodedLength];
        side.Begin(output);
        while (side.State == MultistreamState.Open)
        {
            int have = 0, prefix, length;
            do
            {
                if (!await ReadAsync(channel, side, output, message.AsMemory(have, 1), cancellationToken).ConfigureAwait(false))
                    return false;
            }
            while (!MultistreamMessage.TryReadLength(message.AsSpan(0, ++have), out prefix, out length));

            if (!await ReadAsync(channel, side, output, message.AsMemory(prefix, length), cancellationToken).ConfigureAwait(false))
                return false;
            side.Receive(MultistreamMessage.TrimNewLine(message.AsSpan(prefix, length)), output);
        }

        await FlushAsync(channel, side, output, cancellationToken).ConfigureAwait(false);
        return true;
    }

    // Fills the destination; false at the end. Output waits for company until the peer's next byte has to be waited for: then it
    // must go, since the peer may wait for it.
    private static async ValueTask<bool> ReadAsync(
        IByteChannel channel, MultistreamNegotiation side, ArrayBufferWriter<byte> output, Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            ValueTask<int> read = channel.ReadAsync(destination, cancellationToken);
            int count = read.IsCompleted || !side.HasOutput
                ? await read.ConfigureAwait(false)
                : await FlushMeanwhileAsync(channel, side, output, read.AsTask(), cancellationToken).ConfigureAwait(false);
            if (count == 0) return false;
            destination = destination[count..];
        }

        return true;
    }

    private static async Task<int> FlushMeanwhileAsync(
        IByteChannel channel, MultistreamNegotiation side, ArrayBufferWriter<byte> output, Task<int> read,
        CancellationToken cancellationToken)
    {
        try
        {
            await FlushAsync(channel, side, output, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            channel.Abort(); // ends the read: it must not outlive the call that began it
            await ((Task)read).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        return await read.ConfigureAwait(false);
    }

    private static async ValueTask FlushAsync(
        IByteChannel channel, MultistreamNegotiation side, ArrayBufferWriter<byte> output, CancellationToken cancellationToken)
    {
        if (!side.HasOutput) return;
        side.HasOutput = false;
        channel.Write(output.WrittenMemory);
        await channel.FlushAsync(cancellationToken).ConfigureAwait(false);
        output.ResetWrittenCount();
    }

    private static async ValueTask<bool> RunAsync(
        IDuplexPipe stream, MultistreamNegotiation side, CancellationToken cancellationToken, Func<string, ValueTask>? beforeAnswer = null)
    {
        side.Begin(stream.Output);
        while (true)
        {
            if (side.State == MultistreamState.Agreed && beforeAnswer is not null) await beforeAnswer(side.Agreed!).ConfigureAwait(false);
            await FlushAsync(stream, side, cancellationToken).ConfigureAwait(false);
            if (side.State != MultistreamState.Open) return true;
            ReadResult result = await stream.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (result.IsCanceled)
            {
                stream.Input.AdvanceTo(result.Buffer.Start);
                throw new OperationCanceledException("the pending read of a negotiation was cancelled");
            }

            try
            {
                Consume(stream, side, result.Buffer);
            }
            catch (TransportException) when (side.HasOutput)
            {
                // What follows a refused proposal may be the message that an optimistic peer sent along: it gets to know why.
                await FlushAsync(stream, side, cancellationToken).ConfigureAwait(false);
                throw;
            }

            if (!result.IsCompleted || side.State != MultistreamState.Open) continue;
            await FlushAsync(stream, side, cancellationToken).ConfigureAwait(false);
            return false;
        }
    }

    private static async ValueTask FlushAsync(IDuplexPipe stream, MultistreamNegotiation side, CancellationToken cancellationToken)
    {
        if (!side.HasOutput) return;
        side.HasOutput = false;
        await stream.Output.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static void Consume(IDuplexPipe stream, MultistreamNegotiation side, ReadOnlySequence<byte> buffer)
    {
        Span<byte> scratch = stackalloc byte[MultistreamMessage.MaxEncodedLength];
        try
        {
            while (side.State == MultistreamState.Open
                && MultistreamMessage.TryRead(buffer, scratch, out ReadOnlySpan<byte> token, out int consumed))
            {
                side.Receive(token, stream.Output);
                buffer = buffer.Slice(consumed);
            }
        }
        finally
        {
            // What follows an agreement is not examined: the next read must yield it at once.
            stream.Input.AdvanceTo(buffer.Start, side.State == MultistreamState.Open ? buffer.End : buffer.Start);
        }
    }
}
