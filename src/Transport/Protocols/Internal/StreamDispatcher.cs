using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Multiplexing;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>Negotiates the streams that a peer opens on one connection, and runs their handlers.</summary>
internal sealed class StreamDispatcher(PeerConnection connection, IMuxedConnection muxer, IConnectionHost host)
{
    /// <summary>Streams in negotiation (rust-libp2p's limit).</summary>
    public const int MaxNegotiating = 128;

    /// <summary>
    /// Handlers running. They are counted, not the open streams: a peer that opens streams and resets them at once would
    /// otherwise have any number of handlers at work (CVE-2023-44487).
    /// </summary>
    public const int MaxRunning = 1024;

    // Beyond the limits streams wait: those that negotiate for a handler's place, before their protocol is confirmed, the others to
    // be accepted. The multiplexer's backlog holds back a well-behaved peer, whose requests then come later instead of failing, and
    // turns away any other.
    private readonly SemaphoreSlim _negotiating = new(MaxNegotiating);
    private readonly SemaphoreSlim _running = new(MaxRunning);
    private readonly TaskTracker _handlers = new();

    /// <summary>Accepts streams until the connection is over, then waits for every handler.</summary>
    public async Task RunAsync(CancellationToken over)
    {
        try
        {
            while (true)
            {
                await _negotiating.WaitAsync(over).ConfigureAwait(false);
                if (await muxer.AcceptStreamAsync(CancellationToken.None).ConfigureAwait(false) is not { } stream) break;
                _handlers.Run(() => ServeAsync(stream, over));
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The connection ended while its places were all taken.
        }

        await _handlers.DrainAsync().ConfigureAwait(false);
    }

    // Never faults: a handler's failure concerns its own stream.
    private async Task ServeAsync(IMuxedStream stream, CancellationToken over)
    {
        var place = new Place(_running);
        string? protocol = null;
        try
        {
            StreamHandler? handler;
            try
            {
                (protocol, handler) = await NegotiateAsync(stream, place, over).ConfigureAwait(false);
            }
            finally
            {
                _negotiating.Release();
            }

            if (protocol is not null)
            {
                host.Instruments.StreamOpened(protocol, inbound: true);
                await handler!(new PeerStream(connection, protocol, stream, stream), over).ConfigureAwait(false);
                await stream.Output.CompleteAsync().ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            stream.Reset();
            // Once the connection is over every stream fails; that is no news. A defect is, whenever it shows.
            if (!over.IsCancellationRequested || e is not (TransportException or OperationCanceledException))
                host.StreamFailed(connection, protocol, e);
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            place.Leave();
        }
    }

    // Null: the peer gave up.
    private async Task<(string? Protocol, StreamHandler? Handler)> NegotiateAsync(IMuxedStream stream, Place place, CancellationToken over)
    {
        using var deadline = new CancellationTokenSource(host.Options.StreamNegotiationTimeout, host.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over, deadline.Token);
        StreamHandler? handler = null;
        try
        {
            string? protocol = await Multistream.RespondAsync(
                stream, id => (handler = host.FindHandler(id)) is not null, agreed => BeforeAnswerAsync(stream, agreed, place, deadline, over),
                either.Token).ConfigureAwait(false);
            return (protocol, handler);
        }
        catch (OperationCanceledException e) when (!over.IsCancellationRequested)
        {
            throw new TransportException(
                TransportError.Timeout,
                $"{connection.Peer} opened a stream and did not say for what within {host.Options.StreamNegotiationTimeout.TotalSeconds:0.###} s", e)
            { Peer = connection.Peer };
        }
    }

    // A protocol that nobody serves is refused without a handler's place; a peer that has them all waits unanswered. The wait is this
    // side's doing, so it is not counted against the peer's time to negotiate.
    private ValueTask BeforeAnswerAsync(
        IMuxedStream stream, string protocol, Place place, CancellationTokenSource deadline, CancellationToken over)
    {
        if (Housekeeping.Includes(protocol)) stream.IgnoreForKeepAlive();
        deadline.CancelAfter(Timeout.InfiniteTimeSpan);
        return place.EnterAsync(over);
    }

    /// <summary>One handler's place, from before the answer to the end. Used by one stream's task.</summary>
    private sealed class Place(SemaphoreSlim running)
    {
        private bool _taken;

        public async ValueTask EnterAsync(CancellationToken cancellationToken)
        {
            await running.WaitAsync(cancellationToken).ConfigureAwait(false);
            _taken = true;
        }

        public void Leave()
        {
            if (_taken) running.Release();
        }
    }
}
