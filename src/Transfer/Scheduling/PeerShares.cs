using FastShare.Transport.Identity;

namespace FastShare.Transfer.Scheduling;

/// <summary>One <see cref="FairShare"/> for each peer that something is being sent to. Thread-safe.</summary>
internal sealed class PeerShares(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerId, (FairShare Share, int Transfers)> _peers = []; // guarded by _gate

    /// <summary>A transfer begins; to be ended by <see cref="Leave"/>.</summary>
    public FairShare Join(PeerId peer)
    {
        lock (_gate)
        {
            (FairShare? share, int transfers) = _peers.GetValueOrDefault(peer);
            share ??= new FairShare(time);
            _peers[peer] = (share, transfers + 1);
            return share;
        }
    }

    public void Leave(PeerId peer)
    {
        lock (_gate)
        {
            (FairShare share, int transfers) = _peers[peer];
            if (transfers > 1)
            {
                _peers[peer] = (share, transfers - 1);
                return;
            }

            _peers.Remove(peer);
            share.Dispose();
        }
    }
}
