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

    // Beyond the limits streams wait to be accepted: the multiplexer's backlog holds back a well-behaved peer, whose requests then
    // come later instead of failing, and turns away any other.
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
                await _running.WaitAsync(over).ConfigureAwait(false);
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
        string? protocol = null;
        try
        {
            StreamHandler? handler;
            try
            {
                (protocol, handler) = await NegotiateAsync(stream, over).ConfigureAwait(false);
            }
            finally
            {
                _negotiating.Release();
            }

            if (protocol is not null)
            {
                await handler!(new PeerStream(connection, protocol, stream, stream), over).ConfigureAwait(false);
                await stream.Output.CompleteAsync().ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            stream.Reset();
            // Once the connection is over every stream fails; that is no news.
            if (!over.IsCancellationRequested) host.StreamFailed(connection, protocol, e);
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            _running.Release();
        }
    }

    // Null: the peer gave up.
    private async Task<(string? Protocol, StreamHandler? Handler)> NegotiateAsync(IMuxedStream stream, CancellationToken over)
    {
        using var deadline = new CancellationTokenSource(host.Options.StreamNegotiationTimeout, host.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over, deadline.Token);
        StreamHandler? handler = null;
        string? protocol = await Multistream.RespondAsync(
            stream, id => (handler = host.FindHandler(id)) is not null, either.Token).ConfigureAwait(false);
        return (protocol, handler);
    }
}
