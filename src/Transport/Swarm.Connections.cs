using System.Diagnostics;
using System.Net;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Security;
using FastShare.Transport.Sockets;
using FastShare.Transport.Sockets.Internal;
using FastShare.Transport.Telemetry;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport;

// How connections come to be, run and end.
public sealed partial class Swarm : IConnectionHost
{
    /// <summary>Addresses that identify tells and learns of one peer.</summary>
    private const int MaxIdentifyAddresses = AddressBook.MaxAddresses;

    /// <summary>Keeps a listener that fails again and again from using up a processor.</summary>
    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);

    SwarmOptions IConnectionHost.Options => _options;

    StreamHandler? IConnectionHost.FindHandler(string protocol) => _handlers.GetValueOrDefault(protocol);

    void IConnectionHost.Identified(PeerConnection connection, PeerDescription description)
    {
        // A peer elsewhere that claims to listen on loopback means its own, not this machine's.
        bool isHere = _network.Classify(connection.RemoteAddress).Scope == AddressScope.Host;
        List<Multiaddr> useful =
        [
            .. description.ListenAddresses
                .Where(a => (isHere || !IsLoopback(a)) && !IsWildcard(a) && _transports.Any(t => t.Supports(a)))
                .Take(MaxIdentifyAddresses),
        ];
        if (useful.Count > 0) Learn(connection.Peer, useful, given: false);
        _events.Publish(new SwarmEvent.Identified(connection.Peer, connection, description));
    }

    void IConnectionHost.IdentifyFailed(PeerConnection connection, TransportException error) =>
        SwarmLog.IdentifyFailed(_logger, connection.Peer, error.Message);

    void IConnectionHost.Measured(PeerConnection connection) => _states.Touch(connection);

    TransportInstruments IConnectionHost.Instruments => _instruments;

    void IConnectionHost.StreamFailed(PeerConnection connection, string? protocol, Exception error)
    {
        TransportError kind = (error as TransportException)?.Error ?? TransportError.Unknown;
        _instruments.StreamFailed(protocol, inbound: true, kind);
        // What a peer can cause at will is no warning: it would flood the log and hide the defects of handlers.
        if (protocol is null) SwarmLog.NegotiationFailed(_logger, connection.Peer, error.Message);
        else if (kind is TransportError.StreamReset or TransportError.ConnectionClosed)
            SwarmLog.StreamEndedByPeer(_logger, connection.Peer, PeerText.Escape(protocol), error.Message);
        else SwarmLog.HandlerFailed(_logger, PeerText.Escape(protocol), connection.Peer, error);
    }

    private async Task AcceptAsync(IListener listener)
    {
        try
        {
            while (true)
            {
                bool accepted = false;
                try
                {
                    IDuplexConnection connection = await listener.AcceptAsync(_closing.Token).ConfigureAwait(false);
                    accepted = true;
                    await AdmitAsync(connection).ConfigureAwait(false);
                }
                catch (Exception e) when ((accepted || e is not TransportException) && !_closing.IsCancellationRequested)
                {
                    // Not the way in which a listener ends: a defect somewhere must not make this node deaf.
                    SwarmLog.AcceptFailed(_logger, listener.Address, e);
                    await Task.Delay(AcceptPause, _options.TimeProvider, _closing.Token).ConfigureAwait(false);
                }
            }
        }
        catch (Exception) when (_closing.IsCancellationRequested)
        {
            // As it should be.
        }
        catch (TransportException e)
        {
            SwarmLog.ListenerFailed(_logger, listener.Address, e);
        }
        finally
        {
            lock (_lock) _listeners.Remove(listener);
            await listener.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task AdmitAsync(IDuplexConnection connection)
    {
        InboundAdmission.Ticket? ticket;
        try
        {
            ticket = await EnterAsync(connection).ConfigureAwait(false);
        }
        catch
        {
            connection.Abort();
            throw;
        }

        if (ticket is not null)
        {
            _inbound.Run(() => WelcomeAsync(connection, ticket));
            return;
        }

        SwarmLog.InboundRefused(_logger, connection.RemoteAddress);
        connection.Abort();
        await connection.DisposeAsync().ConfigureAwait(false);
    }

    // While too many negotiate, newcomers wait in the system's queue. Null: refused.
    private async ValueTask<InboundAdmission.Ticket?> EnterAsync(IDuplexConnection connection)
    {
        while (true)
        {
            Task room = _admission.Room;
            InboundAdmission.Ticket? ticket = _admission.TryEnter(connection.RemoteAddress, out TimeSpan? retryIn);
            if (retryIn is null) return ticket;
            using var waited = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            await Task.WhenAny(room, Task.Delay(retryIn.Value, _options.TimeProvider, waited.Token)).ConfigureAwait(false);
            await waited.CancelAsync().ConfigureAwait(false);
            if (_closing.IsCancellationRequested) throw Closed();
        }
    }

    // Never faults: what goes wrong with one visitor concerns nobody else.
    private async Task WelcomeAsync(IDuplexConnection inbound, InboundAdmission.Ticket ticket)
    {
        Multiaddr address = inbound.RemoteAddress;
        PeerConnection? connection = null;
        InboundAdmission.Ticket? held = ticket;
        try
        {
            using (var ended = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token, ticket.Evicted))
                connection = await UpgradeAsync(inbound, ConnectionRole.Listener, null, ended.Token).ConfigureAwait(false);

            if (connection.Peer == LocalPeer)
                throw new TransportException(TransportError.InvalidOperation, "the remote side has this node's own identity");
            if (!ticket.Promote()) throw new OperationCanceledException("pushed out");
            ThrowIfDenied(connection);
            Establishment made = _table.Establish(connection.Peer, connection, null);
            if (made.Refused is not null) throw made.Refused;
            Supervise(connection, made.Count, ticket, isLane: false);
            connection = null;
            held = null;
        }
        catch (OperationCanceledException)
        {
            if (ticket.Evicted.IsCancellationRequested) SwarmLog.InboundEvicted(_logger, address);
        }
        catch (Exception e)
        {
            SwarmLog.InboundFailed(_logger, address, e.Message);
        }
        finally
        {
            if (connection is not null) await connection.DiscardAsync(Closed()).ConfigureAwait(false);
            held?.Dispose();
        }
    }

    private async ValueTask<PeerConnection> UpgradeAsync(
        IDuplexConnection connection, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        SecuredChannel secured = await SecureAsync(connection, role, expectedPeer, cancellationToken).ConfigureAwait(false);
        var muxer = new YamuxConnection(
            secured.Channel, role, _muxerOptions, _options.TimeProvider, _options.LoggerFactory.CreateLogger<YamuxConnection>());
        muxer.Start();
        return new PeerConnection(this, secured, muxer, role, connection.LocalAddress, connection.RemoteAddress)
        {
            Socket = (connection as TcpConnection)?.Tuning,
        };
    }

    private async ValueTask<SecuredChannel> SecureAsync(
        IDuplexConnection connection, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        bool inbound = role == ConnectionRole.Listener;
        using Activity? activity = TransportInstruments.StartHandshake(inbound, connection.RemoteAddress);
        long start = _instruments.MeasuresHandshakes ? _options.TimeProvider.GetTimestamp() : 0;
        TransportException? error = null;
        try
        {
            SecuredChannel secured = await _upgrader.UpgradeAsync(connection, role, expectedPeer, cancellationToken).ConfigureAwait(false);
            activity?.SetTag(TransportInstruments.PeerTag, secured.RemotePeer.ToString());
            return secured;
        }
        catch (TransportException e)
        {
            TransportInstruments.Fail(activity, error = e);
            throw;
        }
        finally
        {
            if (start != 0) _instruments.HandshakeEnded(_options.TimeProvider.GetElapsedTime(start), inbound, error?.Error);
        }
    }

    // From now on the connection has an owner that waits for its end.
    private void Supervise(PeerConnection connection, int count, InboundAdmission.Ticket? ticket, bool isLane)
    {
        string direction = connection.IsInbound ? "inbound" : "outbound";
        SwarmLog.Connected(_logger, connection.Peer, connection.RemoteAddress, connection.Security, direction, count);
        _events.Publish(new SwarmEvent.Connected(connection.Peer, connection, count));
        _states.Up(connection);
        connection.IsCounted = _instruments.ConnectionOpened(connection.IsInbound);
        _instruments.Add(connection.Counters);
        if (!isLane) _observers.Up(connection);
        _connections.Run(() => SuperviseAsync(connection, ticket));
        RetireSurplus(connection.Peer);
    }

    private async Task SuperviseAsync(PeerConnection connection, InboundAdmission.Ticket? ticket)
    {
        Task running = connection.RunAsync();
        TransportException? reason = await connection.Closed.ConfigureAwait(false);
        int remaining = _table.Lost(connection.Peer, connection);
        ticket?.Dispose();
        SwarmLog.Disconnected(_logger, connection.Peer, connection.RemoteAddress, reason?.Message ?? "closed in good order", remaining);
        _events.Publish(new SwarmEvent.Disconnected(connection.Peer, connection, reason, remaining));
        _states.Down(connection, connection.Cause, reason);
        _instruments.ConnectionClosed(connection.IsCounted, connection.IsInbound, connection.Cause);
        _instruments.Remove(connection.Counters);
        _observers.Down(connection, reason);
        connection.Release();
        await running.ConfigureAwait(false);
    }

    private byte[] EncodeIdentify(PeerConnection connection)
    {
        bool isHere = _network.Classify(connection.RemoteAddress).Scope == AddressScope.Host;
        IEnumerable<Multiaddr> listening = ReachableAddresses().Where(a => isHere || !IsLoopback(a)).Take(MaxIdentifyAddresses);
        return IdentifyMessage.Encode(
            _options.Identity.PublicKey, listening, _handlers.Keys.Order(StringComparer.Ordinal), connection.RemoteAddress,
            IdentifyMessage.ProtocolFamily, _agentVersion);
    }

    private async Task TakePushAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(Identify.Timeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        IdentifyMessage message = await Identify.ReadAsync(stream.Input, either.Token).ConfigureAwait(false);
        stream.Connection.Describe(Identify.Update(stream.Connection.Description, message, stream.Connection.Peer));
    }

    private async Task ServePingAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        if (!stream.Connection.TryEnterPing())
        {
            stream.Reset();
            return;
        }

        try
        {
            await Ping.ServeAsync(stream, _options.TimeProvider, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            stream.Connection.LeavePing();
        }
    }

    // Bound addresses, wildcards replaced, without peer id; loopback last.
    private IEnumerable<Multiaddr> ReachableAddresses()
    {
        var addresses = new List<Multiaddr>();
        foreach (Multiaddr bound in ListenAddresses)
        {
            if (!IsWildcard(bound) || !bound.TryGetTcpEndPoint(out IPEndPoint? endpoint))
            {
                addresses.Add(bound);
                continue;
            }

            addresses.AddRange(_network.Addresses
                .Where(local => local.Address.AddressFamily == endpoint.AddressFamily && !local.Address.IsIPv6LinkLocal)
                .Select(local => Multiaddr.FromTcp(new IPEndPoint(local.Address, endpoint.Port))));
        }

        return addresses.Distinct().OrderBy(IsLoopback);
    }

    private static bool IsLoopback(Multiaddr address) =>
        address.TryGetTcpEndPoint(out IPEndPoint? endpoint) && IPAddress.IsLoopback(endpoint.Address);

    private static bool IsWildcard(Multiaddr address) =>
        address.TryGetTcpEndPoint(out IPEndPoint? endpoint)
        && (endpoint.Address.Equals(IPAddress.Any) || endpoint.Address.Equals(IPAddress.IPv6Any));
}
