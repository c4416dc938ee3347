using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>Decides which offers <c>fastshare receive</c> takes. Thread-safe.</summary>
/// <param name="folder">Where accepted offers go.</param>
/// <param name="acceptAll">Whether every peer is trusted.</param>
/// <param name="trusted">Peers whose offers are taken without a question.</param>
/// <param name="replace">Whether existing files are replaced.</param>
/// <param name="quota">Largest offer taken, in bytes.</param>
/// <param name="output">Where questions are asked and refusals reported.</param>
internal sealed class OfferConsent(
    string folder, bool acceptAll, IEnumerable<PeerId> trusted, bool replace, long quota, OutputWriter output)
{
    private const string NobodyToAsk = "the receiver takes no offers without consent, and nobody is there to ask";

    private readonly Lock _gate = new();
    private readonly HashSet<PeerId> _trusted = [.. trusted]; // under _gate
    private readonly HashSet<PeerId> _accepted = []; // under _gate; peers of whom an offer was taken

    /// <summary>Whether a peer's offers are taken without a question.</summary>
    public bool IsTrusted(PeerId peer)
    {
        lock (_gate) return acceptAll || _trusted.Contains(peer);
    }

    /// <summary>Whether an offer of the peer was taken, or would be without a question.</summary>
    public bool HasAccepted(PeerId peer)
    {
        lock (_gate) return acceptAll || _trusted.Contains(peer) || _accepted.Contains(peer);
    }

    /// <summary>The node's <see cref="ConsentPolicy"/>.</summary>
    public async ValueTask<OfferAnswer> DecideAsync(TransferOffer offer, CancellationToken cancellationToken)
    {
        output.Emit(new OfferEvent(offer.Peer.ToString(), offer.Files, offer.Bytes));
        if (IsTrusted(offer.Peer)) return OfferAnswer.Accept(folder, replace, quota);
        if (!output.CanAsk)
        {
            string message =
                $"refused an offer of {offer.Peer}: nobody can be asked here; to take it, start with --trust {offer.Peer} or with --yes";
            output.Emit(new ErrorEvent(ExitCodes.KindOf(TransferError.Refused), message, offer.Peer.ToString()));
            return OfferAnswer.Refuse(NobodyToAsk);
        }

        OfferDecision decision = await output.AskAsync(offer, () => IsTrusted(offer.Peer), cancellationToken);
        if (decision == OfferDecision.Refuse) return OfferAnswer.Refuse("the receiver said no");
        lock (_gate) (decision == OfferDecision.AcceptAllFromPeer ? _trusted : _accepted).Add(offer.Peer);
        return OfferAnswer.Accept(folder, replace, quota);
    }
}
