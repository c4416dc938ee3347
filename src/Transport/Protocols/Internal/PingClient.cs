namespace FastShare.Transport.Protocols.Internal;

/// <summary>Pings one connection's peer over one stream that is kept between pings. Thread-safe; callers take turns.</summary>
internal sealed class PingClient(PeerConnection connection, TimeProvider time) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1, 1);
    private PeerStream? _stream; // the holder of _turn

    public async ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            using var deadline = new CancellationTokenSource(Ping.Timeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
            try
            {
                return await PingAsync(_stream, either.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException e) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                string message = $"{connection.Peer} did not answer a ping within {Ping.Timeout.TotalSeconds} s";
                throw new TransportException(TransportError.Timeout, message, e) { Peer = connection.Peer };
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>To be called when the connection is over.</summary>
    public async ValueTask DisposeAsync()
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            await DropAsync().ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task<TimeSpan> PingAsync(PeerStream? kept, CancellationToken cancellationToken)
    {
        try
        {
            _stream ??= await connection.OpenStreamAsync(ProtocolIds.Ping, cancellationToken).ConfigureAwait(false);
            return await Ping.ExchangeAsync(_stream, time, cancellationToken).ConfigureAwait(false);
        }
        catch (TransportException e) when (kept is not null && e.Error == TransportError.StreamReset)
        {
            // Peers end ping streams that were idle for a while (go-libp2p after 10 s): that says nothing about the peer.
            await DropAsync().ConfigureAwait(false);
        }
        catch
        {
            await DropAsync().ConfigureAwait(false);
            throw;
        }

        return await PingAsync(null, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DropAsync()
    {
        PeerStream? stream = _stream;
        _stream = null;
        if (stream is not null) await stream.DisposeAsync().ConfigureAwait(false);
    }
}
