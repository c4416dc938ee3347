using System.Runtime.CompilerServices;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Security;

namespace FastShare.Transport;

/// <summary>One secured, multiplexed connection to a peer. Thread-safe.</summary>
public sealed class PeerConnection
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
    private bool _dying; // set once, volatile: the multiplexer has refused a stream, Closed follows
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

    /// <summary>Completes when the connection is over; never faults. Null: an orderly close.</summary>
    public Task<TransportException?> Closed => _muxer.Closed;

    /// <summary>Whether the connection can still be used, as far as is known. Takes no lock.</summary>
    internal bool IsLive => !Volatile.Read(ref _dying) && !_muxer.Closed.IsCompleted;

    /// <summary>Waits until the peer has told about itself; fails with what identify failed with.</summary>
    public Task<PeerDescription> IdentifyAsync(CancellationToken cancellationToken = default) =>
        _identified.Task.WaitAsync(cancellationToken);

    /// <summary>
    /// Opens a stream for one protocol. Takes a round trip, or none if the peer has said through identify that it serves the
    /// protocol.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>,
    /// <see cref="TransportError.ConnectionClosed"/>, <see cref="TransportError.Timeout"/>: no answer to the proposal, …</exception>
    public async ValueTask<PeerStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(protocol);
        if (Description is { } description && description.Protocols.Contains(protocol))
        {
            IMuxedStream stream = await OpenAsync(cancellationToken).ConfigureAwait(false);
            return new PeerStream(this, protocol, stream, LazyNegotiation.Begin(stream, protocol));
        }

        await _proposals.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await ProposeAsync(protocol, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _proposals.Release();
        }
    }

    /// <summary>One libp2p ping; the time from write to echo. Callers take turns.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.Timeout"/> after 10 s, or the stream's error.</exception>
    public ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken = default) => _ping.PingAsync(cancellationToken);

    /// <summary>Says goodbye and closes. Open streams are reset. Does not wait for their handlers, so one of them may call it.</summary>
    public ValueTask CloseAsync(CancellationToken cancellationToken = default) => _muxer.CloseAsync(cancellationToken);

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
        await _muxer.Closed.ConfigureAwait(false);
        await _over.CancelAsync().ConfigureAwait(false);
        await accepting.ConfigureAwait(false);
        await identifying.ConfigureAwait(false);
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

    private async ValueTask<IMuxedStream> OpenAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _muxer.OpenStreamAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (TransportException e) when (e.Error != TransportError.LimitExceeded)
        {
            Volatile.Write(ref _dying, true);
            throw;
        }
    }

    private async ValueTask<PeerStream> ProposeAsync(string protocol, CancellationToken cancellationToken)
    {
        IMuxedStream stream = await OpenAsync(cancellationToken).ConfigureAwait(false);
        using var deadline = new CancellationTokenSource(_host.Options.StreamNegotiationTimeout, _host.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            await Multistream.SelectAsync(stream, [protocol], either.Token).ConfigureAwait(false);
            return new PeerStream(this, protocol, stream, stream);
        }
        catch (Exception e)
        {
            stream.Reset();
            await stream.DisposeAsync().ConfigureAwait(false);
            switch (e)
            {
                case OperationCanceledException when !cancellationToken.IsCancellationRequested:
                    double seconds = _host.Options.StreamNegotiationTimeout.TotalSeconds;
                    throw new TransportException(
                        TransportError.Timeout,
                        $"{Peer} did not answer the proposal of {PeerText.Escape(protocol)} within {seconds:0.###} s", e)
                    { Peer = Peer };
                case TransportException { Error: TransportError.UnsupportedProtocol }:
                    throw new TransportException(
                        TransportError.UnsupportedProtocol, $"{Peer} does not support {PeerText.Escape(protocol)}", e)
                    { Peer = Peer };
                case TransportException { Error: TransportError.ConnectionClosed }:
                    Volatile.Write(ref _dying, true);
                    break;
            }

            throw;
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
