using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>Decides which offers <c>fastshare receive</c> takes. Thread-safe.</summary>
/// <param name="terms">On what terms offers are taken.</param>
/// <param name="acceptAll">Whether every peer is trusted.</param>
/// <param name="trusted">Peers whose offers are taken without a question.</param>
/// <param name="known">Peers met before; null: identities are not proved, so none is believed.</param>
/// <param name="output">Where questions are asked and refusals reported.</param>
internal sealed class OfferConsent(OfferTerms terms, bool acceptAll, IEnumerable<PeerId> trusted, KnownPeers? known, OutputWriter output)
{
    private readonly Lock _gate = new();
    private readonly HashSet<PeerId> _trusted = [.. trusted]; // under _gate
    private readonly HashSet<PeerId> _accepted = []; // under _gate; peers of whom an offer was taken

    /// <summary>Whether a peer's offers are taken without a question.</summary>
    public bool IsTrusted(PeerId peer)
    {
        if (acceptAll || known?.Find(peer)?.Trust == PeerTrust.Trusted) return true;
        lock (_gate) return _trusted.Contains(peer);
    }

    /// <summary>Whether an offer of the peer was taken, or would be without a question.</summary>
    public bool HasAccepted(PeerId peer)
    {
        lock (_gate)
        {
            if (_accepted.Contains(peer)) return true;
        }

        return IsTrusted(peer);
    }

    /// <summary>The node's <see cref="ConsentPolicy"/>.</summary>
    public async ValueTask<OfferAnswer> DecideAsync(TransferOffer offer, CancellationToken cancellationToken)
    {
        output.Emit(new OfferEvent(offer.Peer.ToString(), offer.Files, offer.Bytes));
        string? warning = Suspicion(offer);
        if (IsTrusted(offer.Peer))
        {
            if (warning is not null) output.Warn(warning);
            return terms.Accept();
        }

        if (!output.CanAsk)
        {
            if (warning is not null) output.Warn(warning);
            string message =
                $"refused an offer of {offer.Peer}: nobody can be asked here; to take it, start with --trust {offer.Peer} or with --yes";
            output.Emit(new ErrorEvent(ExitCodes.KindOf(TransferError.Refused), message, offer.Peer.ToString()));
            return OfferAnswer.Refuse(
                $"nobody is there to ask whether the receiver takes it; there, start 'fastshare receive' with --trust {offer.Peer} or with --yes");
        }

        OfferDecision decision = await output.AskAsync(offer, warning, () => IsTrusted(offer.Peer), cancellationToken);
        if (decision == OfferDecision.Refuse) return OfferAnswer.Refuse("the receiver said no");
        lock (_gate)
        {
            _accepted.Add(offer.Peer);
            if (decision == OfferDecision.AcceptAlways) _trusted.Add(offer.Peer);
        }

        Remember(offer, decision == OfferDecision.AcceptAlways ? PeerTrust.Trusted : PeerTrust.Met);
        return terms.Accept();
    }

    private string? Suspicion(TransferOffer offer)
    {
        if (known?.Impersonated(offer.Peer, offer.PeerName) is not { } owner) return null;
        string name = PeerText.Escape(offer.PeerName, 48);
        return $"WARNING: this '{name}' has the key {offer.Peer}, but the '{name}' known here since {owner.Since:yyyy-MM-dd} has {owner.Id}. It may be an "
            + $"impostor. If that machine was set up anew, type: fastshare known forget {owner.Id}";
    }

    // Consent was given: that it cannot be kept for the next time is no reason to refuse.
    private void Remember(TransferOffer offer, PeerTrust trust)
    {
        if (known is null) return;
        try
        {
            // a name that belongs to another is not this peer's
            known.Remember(offer.Peer, known.Impersonated(offer.Peer, offer.PeerName) is null ? offer.PeerName : "", trust);
        }
        catch (TransferException e)
        {
            output.Warn($"This peer could not be remembered: {EventText.Escape(e.Message)}");
        }
    }
}

/// <summary>On what terms offers are taken.</summary>
/// <param name="Folder">Where they go.</param>
/// <param name="Replace">Whether existing files are replaced.</param>
/// <param name="Quota">Largest offer taken, in bytes.</param>
internal sealed record OfferTerms(string Folder, bool Replace, long Quota)
{
    public OfferAnswer Accept() => OfferAnswer.Accept(Folder, Replace, Quota);
}
