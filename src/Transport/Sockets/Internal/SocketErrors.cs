using System.Net.Sockets;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>The one place where socket errors become <see cref="TransportError"/>s.</summary>
internal static class SocketErrors
{
    /// <summary>What a caller can act on when the system reports <paramref name="error"/>.</summary>
    public static TransportError Classify(SocketError error) => error switch
    {
        // The host is there and answered with RST: nothing listens on the port, or a firewall rejects it.
        SocketError.ConnectionRefused => TransportError.ConnectionRefused,

        // ICMP or the local routing table says that the address cannot be reached; another address may.
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.HostDown or SocketError.NetworkDown =>
            TransportError.Unreachable,

        // The name does not resolve (now or ever): the address cannot be used from here.
        SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoRecovery or SocketError.NoData => TransportError.Unreachable,

        // The kernel gave up retransmitting, or keep-alive probes went unanswered.
        SocketError.TimedOut => TransportError.Timeout,

        // RST from the remote side; on Windows an abort by the local stack after failed retransmission shows as ConnectionAborted.
        SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.NetworkReset => TransportError.ConnectionReset,

        // Closed on this side while the call ran, or written after the write side was ended.
        SocketError.OperationAborted or SocketError.Interrupted or SocketError.Shutdown or SocketError.Disconnecting
            or SocketError.NotConnected or SocketError.NotSocket => TransportError.ConnectionClosed,

        SocketError.AddressAlreadyInUse => TransportError.AddressInUse,

        // Not an address of this machine, or a family that it does not have (IPv6 switched off).
        SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported or SocketError.ProtocolFamilyNotSupported
            or SocketError.InvalidArgument or SocketError.DestinationAddressRequired => TransportError.InvalidAddress,

        // A port below 1024 without the right to it, or a firewall on this machine.
        SocketError.AccessDenied => TransportError.AccessDenied,

        // Out of descriptors or kernel memory: a limit of this machine, not of the remote side.
        SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable or SocketError.ProcessLimit => TransportError.LimitExceeded,

        _ => TransportError.Io,
    };

    /// <summary>Faults of accept that pass by themselves: the listener waits a little and goes on.</summary>
    public static bool IsPassingAcceptFault(SocketError error) => error is
        // The connection died while it waited to be accepted (accept(2): treat like EAGAIN).
        SocketError.ConnectionAborted or SocketError.ConnectionReset or SocketError.TimedOut or SocketError.NetworkDown
        or SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.HostDown or SocketError.Interrupted
        or SocketError.ProtocolOption or SocketError.OperationNotSupported or SocketError.AccessDenied
        // EMFILE, ENFILE, ENOBUFS, ENOMEM: somebody may close a descriptor.
        or SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable or SocketError.ProcessLimit
        or SocketError.WouldBlock or SocketError.TryAgain;

    /// <summary>The exception for <paramref name="error"/>; <paramref name="action"/> says what failed, e.g. "connect to /ip4/…".</summary>
    public static TransportException ToException(SocketError error, string action, Exception? inner = null)
    {
        inner ??= new SocketException((int)error);
        string cause = error == SocketError.OperationAborted ? "the connection was closed on this side" : inner.Message;
        return new TransportException(Classify(error), $"could not {action}: {cause}", inner);
    }

    /// <summary>The exception for a call on a connection that this side closed.</summary>
    public static TransportException Closed(string action) =>
        new(TransportError.ConnectionClosed, $"could not {action}: the connection was closed on this side");
}
