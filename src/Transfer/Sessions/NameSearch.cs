using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>Asks every discovered peer for its name until one has the name looked for, or the expected one appears.</summary>
internal sealed class NameSearch(FastShareNode node, string name, PeerId? expected, TimeProvider time)
{
    /// <summary>After a match, how long to listen for a second peer of the same name before trusting that it is the only one.</summary>
    private static readonly TimeSpan Doubt = TimeSpan.FromMilliseconds(250);

    /// <summary>After a peer could not be asked, how long to wait before it is asked again: it is announced as found only once.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>Peers asked at once.</summary>
    private const int MaxQuestions = 16;

    private readonly Lock _gate = new();
    private readonly HashSet<PeerId> _asked = []; // guarded by _gate
    private readonly HashSet<PeerId> _matches = []; // guarded by _gate
    private readonly TaskCompletionSource _matched = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _questions = new(MaxQuestions);

    /// <exception cref="TransferException">Several peers have the name.</exception>
    public async Task<PeerId> RunAsync(CancellationToken cancellationToken)
    {
        var tasks = new TaskGroup(cancellationToken);
        await using (tasks.ConfigureAwait(false))
        {
            foreach (PeerConnection connection in node.Swarm.Connections) Ask(tasks, connection.Peer);
            _ = tasks.Run(async stopping =>
            {
                await foreach (DiscoveryEvent seen in node.WatchPeersAsync(stopping).ConfigureAwait(false))
                {
                    if (seen.Kind == DiscoveryEventKind.Found) Ask(tasks, seen.Peer);
                }
            });
            await _matched.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            await Task.Delay(Doubt, time, cancellationToken).ConfigureAwait(false);
        }

        lock (_gate)
        {
            if (expected is not null && _matches.Contains(expected)) return expected;
            if (_matches.Count == 1) return _matches.First();
            string several = $"{_matches.Count} peers are named '{PeerText.Escape(name)}': {string.Join(", ", _matches)}";
            throw new TransferException(TransferError.PeerNotReachable, $"{several}; use the peer id of the one you mean");
        }
    }

    private void Ask(TaskGroup tasks, PeerId peer)
    {
        lock (_gate)
        {
            if (!_asked.Add(peer)) return;
            if (peer == expected)
            {
                _matches.Add(peer);
                _matched.TrySetResult();
                return;
            }
        }

        _ = tasks.Run(async stopping =>
        {
            await _questions.WaitAsync(stopping).ConfigureAwait(false);
            bool answered = true;
            try
            {
                if (await node.GetPeerNameAsync(peer, stopping).ConfigureAwait(false) != name) return;
                lock (_gate) _matches.Add(peer);
                _matched.TrySetResult();
            }
            catch (TransportException)
            {
                answered = false; // not reachable now, or too busy to answer in time
            }
            finally
            {
                _questions.Release();
            }

            if (answered) return;
            await Task.Delay(Pause, time, stopping).ConfigureAwait(false);
            lock (_gate) _asked.Remove(peer);
            if (node.DiscoveredPeers.Any(known => known.Peer == peer)) Ask(tasks, peer); // one that is gone is asked when it is back
        });
    }
}
