using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets.Internal;

namespace FastShare.Transport.Sockets;

/// <summary>
/// TCP over IPv4 and IPv6, by address or DNS name: <c>/ip4|ip6|dns|dns4|dns6/…/tcp/PORT</c>. Thread-safe.
/// </summary>
/// <remarks>
/// Dials come from a port that the system chooses, never from a listen port: two nodes that dial each other at the same moment
/// from their listen ports would end in one TCP connection with two initiators, on which no handshake succeeds.
/// </remarks>
public sealed class TcpTransport : ITransport
{
    /// <summary>A name's further addresses are tried after this long without an answer (RFC 8305, section 5).</summary>
    private static readonly TimeSpan NameStagger = TimeSpan.FromMilliseconds(250);

    /// <summary>At most this many addresses of one name are tried.</summary>
    private const int MaxNameAddresses = 16;

    private readonly TimeProvider _time;

    /// <summary>Creates the transport.</summary>
    /// <param name="timeProvider">The clock; default: the system's.</param>
    public TcpTransport(TimeProvider? timeProvider = null) => _time = timeProvider ?? TimeProvider.System;

    /// <inheritdoc/>
    public bool Supports(Multiaddr address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.TryGetTcpEndPoint(out _) || address.TryGetDnsTcp(out _, out _, out _);
    }

    /// <inheritdoc/>
    public async ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.TryGetTcpEndPoint(out IPEndPoint? endpoint)) return await DialAsync(endpoint, cancellationToken).ConfigureAwait(false);
        if (!address.TryGetDnsTcp(out string? name, out int port, out AddressFamily family)) throw Unsupported(address);
        IPAddress[] found;
        try
        {
            found = await Dns.GetHostAddressesAsync(name, family, cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw SocketErrors.ToException(e.SocketErrorCode, $"resolve {address}", e);
        }
        catch (ArgumentException e) // longer than a DNS name can be
        {
            throw new TransportException(TransportError.InvalidAddress, $"could not resolve {address}: {e.Message}", e);
        }

        if (found.Length == 0)
            throw new TransportException(TransportError.Unreachable, $"could not resolve {address}: the name has no addresses");
        IPEndPoint[] endpoints = [.. found.Take(MaxNameAddresses).Select(ip => new IPEndPoint(ip, port))];
        return await RaceAsync(endpoints, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        cancellationToken.ThrowIfCancellationRequested();
        if (!address.TryGetTcpEndPoint(out IPEndPoint? endpoint)) throw Unsupported(address);
        return new ValueTask<IListener>(TcpConnectionListener.Bind(endpoint, _time));
    }

    private static TransportException Unsupported(Multiaddr address) =>
        new(
            TransportError.InvalidAddress,
            $"{address} is not a TCP address that can be used here (expected for example /ip4/192.0.2.7/tcp/4001)");

    private static async ValueTask<IDuplexConnection> DialAsync(IPEndPoint endpoint, CancellationToken cancellationToken)
    {
        Socket? socket = null;
        try
        {
            socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(endpoint, cancellationToken).ConfigureAwait(false);
            TcpConnection connection = TcpConnection.Take(socket);
            socket = null;
            return connection;
        }
        catch (SocketException e)
        {
            throw SocketErrors.ToException(e.SocketErrorCode, $"connect to {Multiaddr.FromTcp(endpoint)}", e);
        }
        finally
        {
            socket?.Dispose();
        }
    }

    // The resolver has sorted them (RFC 6724). The first to connect wins; the last failure speaks for all.
    private async ValueTask<IDuplexConnection> RaceAsync(IPEndPoint[] endpoints, CancellationToken cancellationToken)
    {
        using var losers = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var running = new List<Task<IDuplexConnection>>();
        IDuplexConnection? winner = null;
        TransportException? failure = null;
        int next = 0;
        while (winner is null && (next < endpoints.Length || running.Count > 0) && !cancellationToken.IsCancellationRequested)
        {
            if (next < endpoints.Length) running.Add(DialAsync(endpoints[next++], losers.Token).AsTask());
            Task<Task<IDuplexConnection>> any = Task.WhenAny(running);
            if (next < endpoints.Length)
            {
                using var stagger = CancellationTokenSource.CreateLinkedTokenSource(losers.Token);
                await Task.WhenAny(any, Task.Delay(NameStagger, _time, stagger.Token)).ConfigureAwait(false);
                await stagger.CancelAsync().ConfigureAwait(false);
                if (!any.IsCompleted) continue;
            }

            Task<IDuplexConnection> first = await any.ConfigureAwait(false);
            running.Remove(first);
            (winner, failure) = await OutcomeAsync(first, failure).ConfigureAwait(false);
        }

        await losers.CancelAsync().ConfigureAwait(false);
        foreach (Task<IDuplexConnection> loser in running)
        {
            (IDuplexConnection? late, failure) = await OutcomeAsync(loser, failure).ConfigureAwait(false);
            if (winner is null) winner = late;
            else late?.Abort();
        }

        if (winner is not null) return winner;
        cancellationToken.ThrowIfCancellationRequested();
        throw failure!;
    }

    private static async ValueTask<(IDuplexConnection? Connection, TransportException? Failure)> OutcomeAsync(
        Task<IDuplexConnection> dial, TransportException? failure)
    {
        try
        {
            return (await dial.ConfigureAwait(false), failure);
        }
        catch (TransportException e)
        {
            return (null, e);
        }
        catch (OperationCanceledException)
        {
            return (null, failure);
        }
    }
}
