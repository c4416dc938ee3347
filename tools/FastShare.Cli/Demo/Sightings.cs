using System.Threading.Channels;
using FastShare.Transfer;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Demo;

/// <summary>Every peer that a node discovers, from the making of this on, also before anybody asks. For one reader.</summary>
internal sealed class Sightings : IAsyncDisposable
{
    private readonly Channel<DiscoveryEvent> _found = Channel.CreateUnbounded<DiscoveryEvent>();
    private readonly CancellationTokenSource _end = new();
    private readonly Task _watching;

    public Sightings(FastShareNode node) => _watching = WatchAsync(node);

    /// <summary>Waits until a peer was found.</summary>
    public async Task<DiscoveryEvent> WaitForAsync(PeerId peer, CancellationToken cancellationToken)
    {
        await foreach (DiscoveryEvent found in _found.Reader.ReadAllAsync(cancellationToken))
        {
            if (found.Peer == peer) return found;
        }

        throw new OperationCanceledException();
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _watching;
        _end.Dispose();
    }

    private async Task WatchAsync(FastShareNode node)
    {
        try
        {
            await foreach (DiscoveryEvent seen in node.WatchPeersAsync(_end.Token))
            {
                if (seen.Kind == DiscoveryEventKind.Found) _found.Writer.TryWrite(seen);
            }
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
        }
        finally
        {
            _found.Writer.Complete();
        }
    }
}
