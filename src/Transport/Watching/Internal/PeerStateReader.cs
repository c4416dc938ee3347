using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Watching.Internal;

/// <summary>
/// What one reader has not seen yet: peers, not states, so that many changes of one peer take one place. Guarded by the lock of its
/// <see cref="PeerStates"/>, except for waiting.
/// </summary>
/// <param name="only">The one peer that is watched; null: all.</param>
internal sealed class PeerStateReader(PeerId? only)
{
    private readonly LinkedList<PeerId> _order = [];
    private readonly Dictionary<PeerId, LinkedListNode<PeerId>> _unseen = [];

    /// <summary>The one peer that is watched; null: all.</summary>
    public PeerId? Only => only;

    /// <summary>Pulses when there is something to see, or the end. Thread-safe.</summary>
    public AsyncPulse News { get; } = new();

    public void Add(PeerId peer)
    {
        if ((only is null || only == peer) && !_unseen.ContainsKey(peer)) _unseen.Add(peer, _order.AddLast(peer));
        News.Set();
    }

    /// <summary>The peer is forgotten: there will be nothing to show.</summary>
    public void Remove(PeerId peer)
    {
        if (_unseen.Remove(peer, out LinkedListNode<PeerId>? place)) _order.Remove(place);
    }

    public bool TryTake(out PeerId? peer)
    {
        peer = _order.First?.Value;
        if (peer is not null) Remove(peer);
        return peer is not null;
    }
}
