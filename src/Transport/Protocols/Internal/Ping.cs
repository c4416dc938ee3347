using System.Security.Cryptography;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>libp2p ping: 32 random bytes there and back, again and again on one stream.</summary>
internal static class Ping
{
    /// <summary>Bytes of one ping (libp2p ping specification).</summary>
    public const int Size = 32;

    /// <summary>Longest wait for an echo, and for the rest of a ping that has begun.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>Inbound ping streams served per connection (the specification's advice).</summary>
    public const int MaxInbound = 2;

    /// <summary>How long an idle ping stream is kept; rust-libp2p pings every 15 s on one stream.</summary>
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(60);

    /// <summary>Echoes pings until the peer ends the stream or pauses for too long.</summary>
    public static async Task ServeAsync(PeerStream stream, TimeProvider time, CancellationToken cancellationToken)
    {
        byte[] ping = new byte[Size];
        while (true)
        {
            using var deadline = new CancellationTokenSource(IdleTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
            try
            {
                if (!await StreamEnd.ReadExactlyAsync(stream.Input, ping, "a ping", either.Token).ConfigureAwait(false)) return;
                await stream.Output.WriteAsync(ping, either.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                return; // the opener takes the end of an idle stream as a reason to open another
            }
        }
    }

    /// <summary>One ping on an open stream.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.Timeout"/>, <see cref="TransportError.ProtocolViolation"/>,
    /// <see cref="TransportError.StreamReset"/>, …</exception>
    public static async Task<TimeSpan> ExchangeAsync(PeerStream stream, TimeProvider time, CancellationToken cancellationToken)
    {
        byte[] ping = RandomNumberGenerator.GetBytes(Size), echo = new byte[Size];
        long start = time.GetTimestamp();
        await stream.Output.WriteAsync(ping, cancellationToken).ConfigureAwait(false);
        if (!await StreamEnd.ReadExactlyAsync(stream.Input, echo, "the echo of a ping", cancellationToken).ConfigureAwait(false))
            throw new TransportException(TransportError.StreamReset, "the peer ended the ping stream") { Peer = stream.Connection.Peer };
        TimeSpan elapsed = time.GetElapsedTime(start);
        return ping.AsSpan().SequenceEqual(echo)
            ? elapsed
            : throw new TransportException(
                TransportError.ProtocolViolation, "the peer echoed other bytes than it was sent")
            { Peer = stream.Connection.Peer };
    }
}
