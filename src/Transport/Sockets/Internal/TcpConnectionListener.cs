using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>A listening TCP socket. Accepts one connection at a time for one caller.</summary>
internal sealed class TcpConnectionListener : IListener
{
    /// <summary>Pause after a passing fault, doubled up to <see cref="MaxBackoff"/> while it lasts.</summary>
    internal static readonly TimeSpan MinBackoff = TimeSpan.FromMilliseconds(10);
    internal static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(1);

    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly Func<CancellationToken, ValueTask<Socket>> _accept;
    private readonly CancellationTokenSource _disposed = new();

    private TcpConnectionListener(Socket socket, Multiaddr address, TimeProvider time, Func<CancellationToken, ValueTask<Socket>>? accept)
    {
        _socket = socket;
        Address = address;
        _time = time;
        _accept = accept ?? _socket.AcceptAsync;
    }

    public Multiaddr Address { get; }

    /// <summary>Binds and listens. IPv6 sockets take IPv6 only, so that both wildcards can be bound to one port.</summary>
    /// <param name="endpoint">Where to listen; port 0 lets the system choose.</param>
    /// <param name="time">Clock of the backoff.</param>
    /// <param name="accept">Replaces the system's accept in tests of its faults.</param>
    public static TcpConnectionListener Bind(
        IPEndPoint endpoint, TimeProvider time, Func<CancellationToken, ValueTask<Socket>>? accept = null)
    {
        Socket? socket = null;
        try
        {
            socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (endpoint.AddressFamily == AddressFamily.InterNetworkV6) socket.DualMode = false;
            socket.Bind(endpoint);
            socket.Listen(); // the system's largest backlog
            var address = Multiaddr.FromTcp((IPEndPoint)socket.LocalEndPoint!);
            return new TcpConnectionListener(socket, address, time, accept);
        }
        catch (SocketException e)
        {
            socket?.Dispose();
            throw SocketErrors.ToException(e.SocketErrorCode, $"listen on {Multiaddr.FromTcp(endpoint)}", e);
        }
    }

    public async ValueTask<IDuplexConnection> AcceptAsync(CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _disposed.Token);
        TimeSpan backoff = MinBackoff;
        try
        {
            while (true)
            {
                Socket? socket = null;
                try
                {
                    socket = await _accept(either.Token).ConfigureAwait(false);
                    return TcpConnection.Take(socket);
                }
                catch (SocketException e) when (
                    !_disposed.IsCancellationRequested && (socket is not null || SocketErrors.IsPassingAcceptFault(e.SocketErrorCode)))
                {
                    socket?.Dispose();
                }

                // A connection that died in the queue needs no pause, but a full descriptor table would spin.
                if (socket is not null) continue;
                await Task.Delay(backoff, _time, either.Token).ConfigureAwait(false);
                backoff = backoff * 2 < MaxBackoff ? backoff * 2 : MaxBackoff;
            }
        }
        catch (Exception e) when (_disposed.IsCancellationRequested
            && e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            throw new TransportException(TransportError.Aborted, $"stopped listening on {Address}", e);
        }
        catch (SocketException e)
        {
            throw SocketErrors.ToException(e.SocketErrorCode, $"accept connections on {Address}", e);
        }
    }

    public ValueTask DisposeAsync()
    {
        // The source stays undisposed: an accept may be linking to it. It holds no timer.
        _disposed.Cancel();
        _socket.Dispose();
        return default;
    }
}
