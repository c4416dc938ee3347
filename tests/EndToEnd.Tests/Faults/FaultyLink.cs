using System.Net;
using System.Net.Sockets;

namespace FastShare.EndToEnd.Tests.Faults;

/// <summary>What happens to a connection.</summary>
public enum LinkFault
{
    /// <summary>Both ends get a reset.</summary>
    Reset,

    /// <summary>Both ends get an orderly end.</summary>
    Cut,

    /// <summary>One direction gets an orderly end, the other goes on.</summary>
    HalfClose,

    /// <summary>One direction stands still, and what sends into it backs up.</summary>
    Stall,

    /// <summary>One direction goes on with a byte a second.</summary>
    Drip,

    /// <summary>One direction takes everything and delivers nothing more.</summary>
    Swallow,

    /// <summary>A bit of one direction is turned over.</summary>
    BitFlip,

    /// <summary>Some bytes of one direction are missing.</summary>
    Gap,

    /// <summary>Some bytes of one direction come twice.</summary>
    Repeat,

    /// <summary>One direction goes on, each piece late.</summary>
    Delay,
}

/// <summary>
/// A relay on loopback whose first connection meets with a fault when so many bytes have gone in one direction; later ones do not.
/// </summary>
internal sealed class FaultyLink : IAsyncDisposable
{
    private static readonly TimeSpan _late = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan _drip = TimeSpan.FromSeconds(1);

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly int _target;
    private readonly LinkFault _fault;
    private readonly bool _isBackward;
    private readonly long _at;
    private readonly Task _accepting;
    private volatile bool _happened;

    /// <param name="target">The port to relay to.</param>
    /// <param name="fault">What happens.</param>
    /// <param name="backward">Whether to what comes from the target.</param>
    /// <param name="at">After how many bytes of that direction.</param>
    public FaultyLink(int target, LinkFault fault, bool backward, long at)
    {
        _target = target;
        _fault = fault;
        _isBackward = backward;
        _at = at;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Whether a connection got as far as the fault.</summary>
    public bool Happened => _happened;

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Stop();
        await _accepting;
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        var relays = new List<Task>();
        try
        {
            while (true) relays.Add(RelayAsync(await _listener.AcceptSocketAsync(_end.Token), isFirst: relays.Count == 0));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
        }

        await Task.WhenAll(relays);
    }

    private async Task RelayAsync(Socket client, bool isFirst)
    {
        using Socket near = client, far = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        near.NoDelay = far.NoDelay = true;
        try
        {
            await far.ConnectAsync(IPAddress.Loopback, _target, _end.Token);
            await Task.WhenAll(
                CopyAsync(near, far, isFirst && !_isBackward), CopyAsync(far, near, isFirst && _isBackward));
        }
        catch (Exception e) when (IsEnd(e))
        {
        }
    }

    // An error of either direction ends both; an orderly end is passed on.
    private async Task CopyAsync(Socket from, Socket to, bool isFaulty)
    {
        try
        {
            byte[] buffer = new byte[16 << 10];
            long passed = 0;
            while (true)
            {
                long before = isFaulty && !_happened ? _at - passed : long.MaxValue;
                if (before == 0)
                {
                    _happened = true;
                    if (!await HappenAsync(from, to, buffer)) return;
                    continue;
                }

                int read = await from.ReceiveAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, before)), _end.Token);
                if (read == 0) break;
                await SendAsync(to, buffer.AsMemory(0, read));
                passed += read;
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (IsEnd(e))
        {
            from.Close();
            to.Close();
        }
    }

    // False: this direction has ended.
    private async Task<bool> HappenAsync(Socket from, Socket to, byte[] buffer)
    {
        switch (_fault)
        {
            case LinkFault.Reset:
                from.Close(0);
                to.Close(0);
                return false;
            case LinkFault.Cut:
                from.Shutdown(SocketShutdown.Both);
                to.Shutdown(SocketShutdown.Both);
                return false;
            case LinkFault.HalfClose:
                to.Shutdown(SocketShutdown.Send);
                while (await from.ReceiveAsync(buffer, _end.Token) > 0)
                {
                }

                return false;
            case LinkFault.Stall:
                await Task.Delay(Timeout.InfiniteTimeSpan, _end.Token);
                return false;
            case LinkFault.Swallow:
                while (await from.ReceiveAsync(buffer, _end.Token) > 0)
                {
                }

                return false;
            case LinkFault.Drip:
                while (await from.ReceiveAsync(buffer.AsMemory(0, 1), _end.Token) > 0)
                {
                    await SendAsync(to, buffer.AsMemory(0, 1));
                    await Task.Delay(_drip, _end.Token);
                }

                return false;
            case LinkFault.Delay:
                for (int read; (read = await from.ReceiveAsync(buffer, _end.Token)) > 0;)
                {
                    await Task.Delay(_late, _end.Token);
                    await SendAsync(to, buffer.AsMemory(0, read));
                }

                to.Shutdown(SocketShutdown.Send);
                return false;
            default:
                int some = await from.ReceiveAsync(buffer.AsMemory(0, 100), _end.Token);
                if (_fault == LinkFault.BitFlip) buffer[some / 2] ^= 4;
                if (_fault == LinkFault.Repeat) await SendAsync(to, buffer.AsMemory(0, some));
                if (_fault != LinkFault.Gap) await SendAsync(to, buffer.AsMemory(0, some));
                return true;
        }
    }

    private async Task SendAsync(Socket to, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[await to.SendAsync(bytes, _end.Token)..];
    }

    private static bool IsEnd(Exception e) => e is SocketException or OperationCanceledException or ObjectDisposedException;
}
