using System.Net;
using System.Net.Sockets;

namespace FastShare.SideBySide;

/// <summary>Free loopback ports.</summary>
internal static class Ports
{
    public static int Free()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>Waits until a server accepts.</summary>
    /// <exception cref="InvalidOperationException">It ended; the message has its output.</exception>
    public static async Task WaitUntilOpenAsync(int port, ChildProcess server, CancellationToken cancellationToken)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
                return;
            }
            catch (SocketException) when (attempt < 200 && !server.HasExited)
            {
                await Task.Delay(50, cancellationToken);
            }
            catch (SocketException)
            {
                await server.WaitForLineAsync(_ => false, cancellationToken); // tells how it ended
            }
        }
    }
}
