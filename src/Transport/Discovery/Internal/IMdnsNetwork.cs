using System.Net;
using System.Net.Sockets;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>The seam between mDNS and the operating system.</summary>
internal interface IMdnsNetwork
{
    /// <summary>The links to use now.</summary>
    /// <param name="problem">Where there is none: why, and what to do.</param>
    IReadOnlyList<MdnsLink> GetLinks(out TransportException? problem);

    /// <summary>Opens a port on a link.</summary>
    /// <param name="link">The link.</param>
    /// <param name="family">IPv4 or IPv6.</param>
    /// <param name="localAddress">This host's address to send from, where the family lets one choose.</param>
    /// <param name="listener">Gets what arrives, from any thread, one datagram at a time per port.</param>
    /// <exception cref="TransportException">It cannot be opened; the message says why.</exception>
    IMdnsPort Open(MdnsLink link, AddressFamily family, IPAddress localAddress, IMdnsListener listener);

    /// <summary>Calls <paramref name="changed"/>, from any thread, when the links may have changed, until the result is disposed.</summary>
    IDisposable Watch(Action changed);
}

/// <summary>What a port tells its owner.</summary>
internal interface IMdnsListener
{
    /// <summary>A datagram arrived on the port's own link. Its memory is the port's: copy what is kept.</summary>
    void Received(MdnsLink link, IPEndPoint source, ReadOnlySpan<byte> datagram);

    /// <summary>The port no longer works, and is to be disposed.</summary>
    void Failed(IMdnsPort port, Exception cause);
}

/// <summary>A UDP socket in the mDNS group of one link and family. Disposal waits for its receive loop.</summary>
internal interface IMdnsPort : IAsyncDisposable
{
    /// <summary>IPv4 or IPv6.</summary>
    AddressFamily Family { get; }

    /// <summary>Multicasts a datagram. One that cannot be sent now is lost, as any datagram may be.</summary>
    /// <returns>What kept it from being sent; null: nothing.</returns>
    SocketError? Send(ReadOnlySpan<byte> datagram);
}
