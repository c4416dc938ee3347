using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// A socket on port 5353, shared with the host's other mDNS programs, in the group of one link and family. It sends on that link only
/// and passes on only what arrived there.
/// </summary>
internal sealed class MdnsSocket : IMdnsPort
{
    private const int MulticastHops = 255; // RFC 6762, 11
    private const int ReceiveBufferBytes = 1 << 20; // a few hundred peers may answer at once; the system may grant less

    // linux/in.h, linux/in6.h: without these off, a socket gets the groups that any other socket of the host joined.
    private const int IpLevel = 0, IpMulticastAll = 49, Ipv6Level = 41, Ipv6MulticastAll = 29;

    // Windows: an ICMP error for something sent must not fail the next receive (SIO_UDP_CONNRESET).
    private const int SioUdpConnectionReset = unchecked((int)0x9800000C);

    private static readonly IPAddress GroupV4 = IPAddress.Parse("224.0.0.251");
    private static readonly IPAddress GroupV6 = IPAddress.Parse("ff02::fb");

    private readonly MdnsLink _link;
    private readonly Socket _socket;
    private readonly IPEndPoint _group;
    private readonly IMdnsListener _listener;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _receiving;

    private MdnsSocket(MdnsLink link, Socket socket, IPEndPoint group, IMdnsListener listener)
    {
        _link = link;
        _socket = socket;
        _group = group;
        _listener = listener;
        _receiving = Task.Run(ReceiveAsync);
    }

    public AddressFamily Family => _socket.AddressFamily;

    /// <summary>Opens the socket. See <see cref="IMdnsNetwork.Open"/>.</summary>
    public static MdnsSocket Open(MdnsLink link, AddressFamily family, IPAddress localAddress, IMdnsListener listener)
    {
        bool v4 = family == AddressFamily.InterNetwork;
        var group = new IPEndPoint(v4 ? GroupV4 : new IPAddress(GroupV6.GetAddressBytes(), link.Index), MdnsCore.Port);
        Socket? socket = null;
        try
        {
            socket = new Socket(family, SocketType.Dgram, ProtocolType.Udp);
            if (!v4) socket.DualMode = false; // the IPv4 socket has a port of its own
            // On Unix this sets SO_REUSEADDR and SO_REUSEPORT, as avahi, systemd-resolved, Node and Rust do.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            SocketOptionLevel level = v4 ? SocketOptionLevel.IP : SocketOptionLevel.IPv6;
            socket.SetSocketOption(level, SocketOptionName.PacketInformation, true);
            socket.SetSocketOption(level, SocketOptionName.MulticastTimeToLive, MulticastHops);
            socket.SetSocketOption(level, SocketOptionName.MulticastLoopback, true);
            if (OperatingSystem.IsLinux()) DisableForeignGroups(socket, v4);
            if (OperatingSystem.IsWindows()) socket.IOControl(SioUdpConnectionReset, BitConverter.GetBytes(0), null);
            socket.ReceiveBufferSize = ReceiveBufferBytes;
            socket.Bind(new IPEndPoint(v4 ? IPAddress.Any : IPAddress.IPv6Any, MdnsCore.Port));
            if (v4)
            {
                socket.SetSocketOption(level, SocketOptionName.MulticastInterface, localAddress.GetAddressBytes());
                socket.SetSocketOption(level, SocketOptionName.AddMembership, new MulticastOption(GroupV4, localAddress));
            }
            else
            {
                socket.SetSocketOption(level, SocketOptionName.MulticastInterface, link.Index);
                socket.SetSocketOption(level, SocketOptionName.AddMembership, new IPv6MulticastOption(GroupV6, link.Index));
                RequireRoute(group);
            }

            socket.Blocking = false;
            return new MdnsSocket(link, socket, group, listener);
        }
        catch (SocketException e)
        {
            socket?.Dispose();
            string where = $"mDNS on {link.Name} ({(v4 ? "IPv4" : "IPv6")})";
            throw e.SocketErrorCode switch
            {
                SocketError.AccessDenied => new TransportException(TransportError.AccessDenied,
                    $"{where}: the system does not allow it: {e.Message}; "
                    + "check the firewall and the program's permission for the local network", e),
                SocketError.AddressAlreadyInUse => new TransportException(TransportError.AddressInUse,
                    $"{where}: another program keeps UDP port {MdnsCore.Port} for itself; stop it, or let it share the port", e),
                SocketError.NetworkUnreachable or SocketError.AddressNotAvailable or SocketError.NetworkDown
                    or SocketError.HostUnreachable =>
                    new TransportException(TransportError.Unreachable, $"{where}: no multicast there: {e.Message}", e),
                _ => new TransportException(TransportError.Io, $"{where}: {e.Message}", e),
            };
        }
    }

    public SocketError? Send(ReadOnlySpan<byte> datagram)
    {
        try
        {
            _socket.SendTo(datagram, SocketFlags.None, _group);
            return null;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode;
        }
        catch (ObjectDisposedException)
        {
            return SocketError.Shutdown;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        _socket.Dispose();
        await _receiving.ConfigureAwait(false);
        _closing.Dispose();
    }

    private static void DisableForeignGroups(Socket socket, bool v4)
    {
        try
        {
            int off = 0;
            ReadOnlySpan<byte> value = MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in off));
            socket.SetRawSocketOption(v4 ? IpLevel : Ipv6Level, v4 ? IpMulticastAll : Ipv6MulticastAll, value);
        }
        catch (SocketException)
        {
            // Older kernels lack it for IPv6 (4.20); the arrival interface is checked in any case.
        }
    }

    // Connecting a datagram socket sends nothing but looks up the route, which loopback interfaces mostly lack for ff00::/8.
    private static void RequireRoute(IPEndPoint group)
    {
        using var probe = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        probe.Connect(group);
    }

    private async Task ReceiveAsync()
    {
        // One byte more than any message may have: a longer one is then seen to be too long.
        byte[] buffer = GC.AllocateUninitializedArray<byte>(DnsMessageReader.MaxMessageLength + 1);
        var any = new IPEndPoint(_socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        while (true)
        {
            try
            {
                SocketReceiveMessageFromResult result =
                    await _socket.ReceiveMessageFromAsync(buffer, SocketFlags.None, any, _closing.Token).ConfigureAwait(false);
                if (result.PacketInformation.Interface != _link.Index) continue;
                _listener.Received(_link, (IPEndPoint)result.RemoteEndPoint, buffer.AsSpan(0, result.ReceivedBytes));
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.MessageSize)
            {
                // about a datagram, not about the socket
            }
            catch (Exception) when (_closing.IsCancellationRequested)
            {
                return; // whatever closing made of it
            }
            catch (Exception e)
            {
                _listener.Failed(this, e);
                return;
            }
        }
    }
}
