using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>The identify exchanges over a negotiated stream. Deadlines come through the tokens.</summary>
internal static class Identify
{
    /// <summary>A whole exchange (go-libp2p allows 5 s, other implementations 10 s).</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>Tells the peer about this node: one message, then the end.</summary>
    public static async Task RespondAsync(PipeWriter output, byte[] message, CancellationToken cancellationToken)
    {
        await output.WriteAsync(message, cancellationToken).ConfigureAwait(false);
        await output.CompleteAsync().ConfigureAwait(false);
    }

    /// <summary>Reads what the peer tells until it ends the stream.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>, or the stream's.</exception>
    public static async Task<IdentifyMessage> ReadAsync(PipeReader input, CancellationToken cancellationToken)
    {
        var message = new IdentifyMessage();
        int messages = 0;
        while (true)
        {
            ReadResult result;
            try
            {
                result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (TransportException e) when (messages > 0 && e.Error == TransportError.StreamReset)
            {
                return message; // everything was said; some implementations drop the stream rather than end it
            }

            ReadOnlySequence<byte> buffer = result.Buffer;
            while (messages < IdentifyMessage.MaxMessages && message.TryMerge(ref buffer)) messages++;
            bool whole = buffer.IsEmpty;
            if (messages == IdentifyMessage.MaxMessages || (result.IsCompleted && messages > 0 && whole))
            {
                input.AdvanceTo(result.Buffer.End);
                return message;
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
                throw new TransportException(
                    TransportError.ProtocolViolation, "the peer ended the identify stream before a whole message had come");
        }
    }

    /// <summary>Checks what a peer told at first: the key must be there and be the connection's.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>.</exception>
    public static PeerDescription Describe(IdentifyMessage message, PeerId peer)
    {
        CheckKey(message, peer, mayBeAbsent: false);
        return new PeerDescription(
            message.AgentVersion ?? "", message.ProtocolVersion ?? "", message.ListenAddresses, message.Protocols, message.ObservedAddress);
    }

    /// <summary>Applies what a peer pushed: absent fields mean unchanged.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>.</exception>
    public static PeerDescription Update(PeerDescription? before, IdentifyMessage message, PeerId peer)
    {
        CheckKey(message, peer, mayBeAbsent: true);
        return new PeerDescription(
            message.AgentVersion ?? before?.AgentVersion ?? "",
            message.ProtocolVersion ?? before?.ProtocolVersion ?? "",
            message.ListenAddresses.Count > 0 ? message.ListenAddresses : before?.ListenAddresses ?? [],
            message.Protocols.Count > 0 ? message.Protocols : before?.Protocols ?? [],
            message.ObservedAddress ?? before?.ObservedAddress);
    }

    private static void CheckKey(IdentifyMessage message, PeerId peer, bool mayBeAbsent)
    {
        if (message.PublicKey is null && mayBeAbsent) return;
        if (message.PublicKey is null || !PublicKey.TryDecode(message.PublicKey, out PublicKey? key) || key.ToPeerId() != peer)
            throw new TransportException(
                TransportError.ProtocolViolation, $"{peer} identified itself with a key that is not its own")
            { Peer = peer };
    }
}
