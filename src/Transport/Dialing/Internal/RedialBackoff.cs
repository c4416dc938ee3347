using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>A pause before a peer is dialed again for callers that are patient.</summary>
/// <param name="Until">When it is over.</param>
/// <param name="Failures">Dials to the peer that failed one after the other.</param>
/// <param name="Why">The last of these failures.</param>
internal sealed record RedialPause(TimeSpan Until, int Failures, TransportException Why);

/// <summary>
/// How long to leave peers alone that could not be reached: exponential with full jitter, so that many nodes that lost the same
/// peer do not come back to it at the same instant. Pure: time and chance come in. Not thread-safe; its owner holds a lock.
/// </summary>
/// <param name="random">Numbers from 0 (included) to 1 (excluded).</param>
internal sealed class RedialBackoff(Func<double> random)
{
    /// <summary>Upper bound of the first pause.</summary>
    public static readonly TimeSpan Base = TimeSpan.FromMilliseconds(250);

    /// <summary>Upper bound of every pause.</summary>
    public static readonly TimeSpan Cap = TimeSpan.FromSeconds(30);

    /// <summary>Peers remembered; the one whose pause ends first is forgotten first.</summary>
    public const int MaxPeers = 1000;

    private readonly Dictionary<PeerId, RedialPause> _pauses = [];

    /// <summary>A dial failed: the next pause begins.</summary>
    public RedialPause Failed(PeerId peer, TransportException why, TimeSpan now)
    {
        // Failures of long ago say nothing about now.
        int earlier = _pauses.TryGetValue(peer, out RedialPause? last) && now - last.Until < Cap ? last.Failures : 0;
        if (last is null && _pauses.Count >= MaxPeers) _pauses.Remove(_pauses.MinBy(p => p.Value.Until).Key);
        return _pauses[peer] = new RedialPause(now + DoublingPause.Bound(Base, Cap, earlier) * random(), earlier + 1, why);
    }

    /// <summary>There is reason to believe that the peer can be reached: a connection with it, or news of its addresses.</summary>
    public void Reset(PeerId peer) => _pauses.Remove(peer);

    /// <summary>The pause that a peer is in; null if it is in none.</summary>
    public RedialPause? Find(PeerId peer, TimeSpan now) =>
        _pauses.TryGetValue(peer, out RedialPause? pause) && now < pause.Until ? pause : null;
}
