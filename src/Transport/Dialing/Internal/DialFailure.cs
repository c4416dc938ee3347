using System.Text;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>The one exception of a failed dial.</summary>
internal static class DialFailure
{
    /// <summary>Causes spelt out in the message; all of them are in <see cref="TransportException.Attempts"/>.</summary>
    private const int MaxListed = 8;

    public static TransportException Create(PeerId peer, IReadOnlyList<DialAttempt> attempts)
    {
        var text = new StringBuilder();
        text.Append($"could not connect to {peer}: ");
        text.Append(attempts.Count == 1 ? "its one known address failed: " : $"all {attempts.Count} known addresses failed: ");
        text.AppendJoin("; ", attempts.Take(MaxListed).Select(a => $"{a.Address} ({a.Error}): {a.Message}"));
        if (attempts.Count > MaxListed) text.Append($"; and {attempts.Count - MaxListed} more");
        return new TransportException(TransportError.DialFailure, text.ToString()) { Peer = peer, Attempts = attempts };
    }

    public static TransportException NoAddresses(PeerId peer) => new(
        TransportError.NoAddresses,
        $"no address is known for {peer}: give one (such as /ip4/192.0.2.7/tcp/4001), or wait until discovery finds the peer; "
            + "addresses at which this node itself listens do not count")
    {
        Peer = peer,
    };
}
