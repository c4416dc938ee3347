using System.Runtime.CompilerServices;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Security;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport;

/// <summary>One secured, multiplexed connection to a peer. Thread-safe.</summary>
public sealed class PeerConnection : IDialedConnection
{
    /// <summary>
    /// Streams of ours in negotiation; further ones wait. rust-libp2p drops those beyond 128, so a burst of requests to it would
    /// fail.
    /// </summary>
    private const int MaxProposals = 100;

    private readonly IConnectionHost _host;
    private readonly IMuxedConnection _muxer;
    private readonly PingClient _ping;
    private readonly TaskCompletionSource<PeerDescription> _identified = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _over = new(); // fires when the connection is over; never disposed: it holds no timer
    private readonly SemaphoreSlim _proposals = new(MaxProposals);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new(); // nests inside a lease's lock; the multiplexer's gate nests inside it
    private readonly HashSet<KeepAliveLease> _leases = []; // _lock
    private PeerConnection? _successor; // written once under _lock, read anywhere
    private int _cause = -1; // interlocked, set once: a DisconnectCause
    private PeerDescription? _description; // written by identify and pushes, whole objects
    private int _inboundPings; // interlocked

    /// <summary>Takes over a started multiplexer.</summary>
    internal PeerConnection(
        IConnectionHost host, SecuredChannel channel, IMuxedConnection muxer, ConnectionRole role,
        Multiaddr localAddress, Multiaddr remoteAddress)
    {
        _host = host;
        _muxer = muxer;
        Peer = channel.RemotePeer;
        Security = channel.Security;
        Counters = channel.Channel.Counters;
        IsInbound = role == ConnectionRole.Listener;
        LocalAddress = localAddress;
        RemoteAddress = remoteAddress;
        _ping = new PingClient(this, host.Options.TimeProvider);
    }

    /// <summary>The authenticated remote peer (with <see cref="SecurityMode.InsecurePlaintext"/>: the claimed one).</summary>
    public PeerId Peer { get; }

    /// <summary>Whether the remote side dialed.</summary>
    public bool IsInbound { get; }

    /// <summary>The remote address.</summary>
    public Multiaddr RemoteAddress { get; }

    /// <summary>The local address.</summary>
    public Multiaddr LocalAddress { get; }

    /// <summary>The security protocol's id, such as <c>/noise</c>.</summary>
    public string Security { get; }

    /// <summary>Smoothed round-trip time; null before the first measurement.</summary>
    public TimeSpan? RoundTripTime => _muxer.RoundTripTime;

    /// <summary>What the peer told through identify; null until it did.</summary>
    public PeerDescription? Description => Volatile.Read(ref _description);

    /// <summary>What it has moved, and where its time went. A snapshot.</summary>
    public ConnectionStatistics Statistics => new(Counters, Socket);

    /// <summary>Completes when the connection is over; never faults. Null: an orderly close.</summary>
    public Task<TransportException?> Closed => _muxer.Closed;

    /// <summary>Time and bytes by stage.</summary>
    internal ConnectionCounters Counters { get; }

    /// <summary>The kernel's options and measurements; null where the transport has none.</summary>
    internal ISocketTuning? Socket { get; init; }

    /// <summary>Whether it may take new streams, as far as is known: not over, not closing, not surplus. Takes no lock.</summary>
    internal bool IsLive => _muxer.TakesStreams;

    /// <summary>
    /// Whether its dialer asked for it beside others that may exist, so that it is never surplus. Set before it is listed.
    /// </summary>
    internal bool IsExtra { get; set; }

    bool IDialedConnection.IsExtra => IsExtra;

    /// <summary>What uses the connection now: open streams but those of housekeeping, handlers of inbound ones, leases.</summary>
    internal int UseCount => _muxer.UseCount;

    /// <summary>Whether metrics count it as open. Written before it runs.</summary>
    internal bool IsCounted { get; set; }

    /// <summary>What took its place; null: nothing, it is not surplus.</summary>
    internal PeerConnection? Successor => Volatile.Read(ref _successor);

    /// <summary>Completes when its end was reported to everybody who watches; handlers may still be at their end.</summary>
    internal Task Released => _released.Task;

    /// <summary>Completes, without failing, once identify has succeeded or failed.</summary>
    internal Task IdentifySettled => Task.WhenAny(_identified.Task);

    /// <summary>Why it is over. To be asked once <see cref="Closed"/> is completed.</summary>
    internal DisconnectCause Cause => true switch
    {
        _ when Closed is { IsCompletedSuccessfully: true, Result: not null } => DisconnectCause.Lost,
        _ when _muxer.ClosedIdle => DisconnectCause.Idle,
        _ when Volatile.Read(ref _cause) is var cause and >= 0 => (DisconnectCause)cause,
        _ => DisconnectCause.ClosedByPeer,
    };

    /// <summary>Waits until the peer has told about itself; fails with what identify failed with.</summary>
    public Task<PeerDescription> IdentifyAsync(CancellationToken cancellationToken = default) =>
        _identified.Task.WaitAsync(cancellationToken);

    /// <summary>
    /// Opens a stream for one protocol. Takes a round trip, or none if the peer has said through identify that it serves the
    /// protocol (js-libp2p is always asked: it loses streams that end along with their proposal).
    /// </summary>
    /// <remarks>
    /// <see cref="SwarmOptions.StreamNegotiationTimeout"/> counts from this call, waiting for a free place included. If both sides
    /// dialed at the same time and the other connection was kept, the stream is opened there: see <see cref="PeerStream.Connection"/>.
    /// </remarks>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>,
    /// <see cref="TransportError.ConnectionClosed"/>, <see cref="TransportError.Timeout"/>: no answer to the proposal, …</exception>
    public async ValueTask<PeerStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(protocol);
        PeerConnection connection = this;
        while (true)
        {
            try
            {
                return await connection.OpenHereAsync(protocol, cancellationToken).ConfigureAwait(false);
            }
            catch (TransportException e) when (e.NotTaken && connection.Successor is { } successor)
            {
                connection = successor;
            }
        }
    }

    /// <summary>
    /// Keeps the connection from being closed for idleness by this side (<see cref="SwarmOptions.IdleTimeout"/>) until the result is
    /// disposed. The remote side may close it all the same: what shall keep a connection on both sides is an open stream.
    /// </summary>
    public IDisposable KeepAlive() => KeepAliveLease.On(this);

    /// <summary>One libp2p ping; the time from write to echo. Callers take turns.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.Timeout"/> after 10 s, or the stream's error.</exception>
    public async ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken = default)
    {
        PeerConnection connection = this;
        while (true)
        {
            try
            {
                return await connection._ping.PingAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (TransportException) when (connection.Successor is { } successor)
            {
                connection = successor; // pings do not keep a surplus connection
            }
        }
    }

    /// <summary>Says goodbye and closes. Open streams are reset. Does not wait for their handlers, so one of them may call it.</summary>
    public ValueTask CloseAsync(CancellationToken cancellationToken = default)
    {
        Interlocked.CompareExchange(ref _cause, (int)DisconnectCause.ClosedHere, -1);
        return _muxer.CloseAsync(cancellationToken);
    }

    /// <summary>
    /// The connection is surplus: it serves on, and opens no more streams; new ones go to <paramref name="successor"/>, as do leases.
    /// Callers make sure that no chain of successors closes on itself.
    /// </summary>
    internal void Retire(PeerConnection successor)
    {
        KeepAliveLease[] leases;
        lock (_lock)
        {
            if (_successor is not null) return;
            Volatile.Write(ref _successor, successor);
            leases = [.. _leases];
        }

        Interlocked.CompareExchange(ref _cause, (int)DisconnectCause.Surplus, -1);
        _muxer.StopOpening();
        foreach (KeepAliveLease lease in leases) lease.MoveTo(successor);
    }

    /// <summary>One round trip of the multiplexer's own ping, which opens no stream.</summary>
    internal async ValueTask BeatAsync(CancellationToken cancellationToken) =>
        await _muxer.PingAsync(cancellationToken).ConfigureAwait(false);

    /// <summary>A stream without a protocol, for tests.</summary>
    internal ValueTask<IMuxedStream> OpenRawAsync(CancellationToken cancellationToken) => _muxer.OpenStreamAsync(cancellationToken);

    /// <summary>Closes in good order once no stream is open and no handler of one runs; to be called behind <see cref="Retire"/>.</summary>
    internal void CloseWhenUnused() => _muxer.CloseWhenUnused();

    /// <summary>Somebody is about to use the connection: its idle time begins anew. False if it may not be used any more.</summary>
    internal bool TryTouch() => _muxer.TryTouch();

    /// <summary>Everybody who watches knows that it is over.</summary>
    internal void Release() => _released.TrySetResult();

    /// <summary>Enters a lease; false if the connection was surplus, and <paramref name="next"/> took its place, or is over.</summary>
    internal bool TryEnter(KeepAliveLease lease, out PeerConnection? next)
    {
        lock (_lock)
        {
            next = _successor;
            if (next is not null) return false;
            if (!_muxer.TryHold()) return false; // it is over, or nearly: there is nothing to keep
            _leases.Add(lease);
            next = this;
            return true;
        }
    }

    /// <summary>A lease goes.</summary>
    internal void Leave(KeepAliveLease lease)
    {
        lock (_lock)
        {
            if (_leases.Remove(lease)) _muxer.Release();
        }
    }

    /// <summary>Ends the connection at once.</summary>
    internal void Abort(TransportException reason) => _muxer.Abort(reason);

    /// <summary>
    /// Serves the connection until it is over and every handler has ended. Called once, by its owner, who awaits it.
    /// </summary>
    internal async Task RunAsync()
    {
        var dispatcher = new StreamDispatcher(this, _muxer, _host);
        Task accepting = dispatcher.RunAsync(_over.Token);
        Task identifying = IdentifyAsync();
        Task measuring = MeasureAsync();
        await _muxer.Closed.ConfigureAwait(false);
        await _over.CancelAsync().ConfigureAwait(false);
        await accepting.ConfigureAwait(false);
        await identifying.ConfigureAwait(false);
        await measuring.ConfigureAwait(false);
        await _ping.DisposeAsync().ConfigureAwait(false);
        await _muxer.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Ends a connection that was never run.</summary>
    internal async ValueTask DiscardAsync(TransportException reason)
    {
        _muxer.Abort(reason);
        await _muxer.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>A place for an inbound ping stream; false if there are enough. To be given back by <see cref="LeavePing"/>.</summary>
    internal bool TryEnterPing()
    {
        if (Interlocked.Increment(ref _inboundPings) <= Ping.MaxInbound) return true;
        Interlocked.Decrement(ref _inboundPings);
        return false;
    }

    internal void LeavePing() => Interlocked.Decrement(ref _inboundPings);

    /// <summary>Takes over what the peer told about itself, at first or later.</summary>
    internal void Describe(PeerDescription description)
    {
        Volatile.Write(ref _description, description);
        _identified.TrySetResult(description);
        _host.Identified(this, description);
    }

    private async ValueTask<PeerStream> OpenHereAsync(string protocol, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(_host.Options.StreamNegotiationTimeout, _host.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        bool proposed = false;
        try
        {
            if (Description is { } description && description.Protocols.Contains(protocol) && TakesEarlyEnds(description))
            {
                IMuxedStream lazy = await OpenAsync(protocol, either.Token).ConfigureAwait(false);
                return new PeerStream(this, protocol, lazy, LazyNegotiation.Begin(lazy, protocol));
            }

            await _proposals.WaitAsync(either.Token).ConfigureAwait(false);
            try
            {
                IMuxedStream stream = await OpenAsync(protocol, either.Token).ConfigureAwait(false);
                proposed = true;
                return await ProposeAsync(stream, protocol, either.Token).ConfigureAwait(false);
            }
            finally
            {
                _proposals.Release();
            }
        }
        catch (TransportException e)
        {
            if (!e.NotTaken) _host.Instruments.StreamFailed(protocol, inbound: false, e.Error);
            throw;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            _host.Instruments.StreamFailed(protocol, inbound: false, TransportError.Timeout);
            string what = proposed
                ? $"{Peer} did not answer the proposal of {PeerText.Escape(protocol)} within"
                : $"no stream for {PeerText.Escape(protocol)} became free on the connection with {Peer}, which has answered too few of those "
                    + "opened before, within";
            throw new TransportException(
                TransportError.Timeout, $"{what} {_host.Options.StreamNegotiationTimeout.TotalSeconds:0.###} s", e)
            {
                Peer = Peer,
                NotTaken = !proposed,
            };
        }
    }

    private async ValueTask<IMuxedStream> OpenAsync(string protocol, CancellationToken cancellationToken)
    {
        IMuxedStream stream = await _muxer.OpenStreamAsync(cancellationToken).ConfigureAwait(false);
        if (Housekeeping.Includes(protocol)) stream.IgnoreForKeepAlive();
        _host.Instruments.StreamOpened(protocol, inbound: false);
        return stream;
    }

    // js-libp2p 3 resets a stream whose end arrives together with its proposal, as that of a small request does: what its negotiation
    // has read too far cannot be given back to a stream that has ended. So it is asked first, which costs a round trip.
    private static bool TakesEarlyEnds(PeerDescription description) =>
        !description.AgentVersion.Contains("js-libp2p", StringComparison.OrdinalIgnoreCase);

    private async ValueTask<PeerStream> ProposeAsync(IMuxedStream stream, string protocol, CancellationToken cancellationToken)
    {
        try
        {
            await Multistream.SelectAsync(stream, [protocol], cancellationToken).ConfigureAwait(false);
            return new PeerStream(this, protocol, stream, stream);
        }
        catch (Exception e)
        {
            stream.Reset();
            await stream.DisposeAsync().ConfigureAwait(false);
            if (e is not TransportException { Error: TransportError.UnsupportedProtocol }) throw;
            throw new TransportException(
                TransportError.UnsupportedProtocol, $"{Peer} does not support {PeerText.Escape(protocol)}", e)
            { Peer = Peer };
        }
    }

    // Never faults. The multiplexer measures by itself at the start; this waits for it.
    private async Task MeasureAsync()
    {
        try
        {
            await _muxer.PingAsync(_over.Token).ConfigureAwait(false);
            _host.Measured(this);
        }
        catch (Exception e) when (e is TransportException or OperationCanceledException)
        {
            // The connection is over.
        }
    }

    // Never faults: the failure is for those who ask for the description.
    private async Task IdentifyAsync()
    {
        using var deadline = new CancellationTokenSource(Identify.Timeout, _host.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(_over.Token, deadline.Token);
        try
        {
            PeerStream stream = await OpenStreamAsync(ProtocolIds.Identify, either.Token).ConfigureAwait(false);
            await using ConfiguredAsyncDisposable scope = stream.ConfigureAwait(false);
            IdentifyMessage message = await Identify.ReadAsync(stream.Input, either.Token).ConfigureAwait(false);
            Describe(Identify.Describe(message, Peer));
            await stream.Output.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            TransportException error = e switch
            {
                TransportException known => known,
                OperationCanceledException when _over.IsCancellationRequested =>
                    new TransportException(
                        TransportError.ConnectionClosed,
                        $"the connection with {Peer} closed before the peer had identified itself", e)
                    { Peer = Peer },
                OperationCanceledException =>
                    new TransportException(
                        TransportError.Timeout,
                        $"{Peer} did not identify itself within {Identify.Timeout.TotalSeconds} s", e)
                    { Peer = Peer },
                _ => new TransportException(TransportError.Unknown, $"identifying {Peer} failed: {e.Message}", e) { Peer = Peer },
            };
            if (_identified.TrySetException(error)) _ = _identified.Task.Exception; // observed: nobody may ask
            _host.IdentifyFailed(this, error);
        }
    }
}
