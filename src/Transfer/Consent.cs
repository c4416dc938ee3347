using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>
/// Decides about an offer. Runs before anything is written; may take as long as a person takes. The token fires when the offer
/// is no longer open: the sender left, or the rest of its manifest was unsafe, as far as it was read.
/// </summary>
public delegate ValueTask<OfferAnswer> ConsentPolicy(TransferOffer offer, CancellationToken cancellationToken);

/// <summary>What a peer wants to send.</summary>
/// <param name="Peer">The authenticated sender.</param>
/// <param name="PeerName">What the sender calls itself: text from the peer.</param>
/// <param name="RootNames">Names of the top-level entries (at most the first 100), validated but not escaped.</param>
/// <param name="Files">Number of files; what is known so far if <paramref name="IsComplete"/> is false.</param>
/// <param name="Bytes">Their sizes added up, likewise.</param>
/// <param name="HiddenNames">Paths with a component that starts with a dot (at most the first 100): worth a second look.</param>
/// <param name="IsComplete">Whether the whole manifest had arrived when consent was asked.</param>
public sealed record TransferOffer(
    PeerId Peer,
    string PeerName,
    IReadOnlyList<string> RootNames,
    long Files,
    long Bytes,
    IReadOnlyList<string> HiddenNames,
    bool IsComplete)
{
    /// <summary>Whether there is a stream whose size nobody knows yet: <see cref="Bytes"/> counts only the others.</summary>
    public bool IsOpenEnded { get; init; }
}

/// <summary>The answer to an offer.</summary>
public sealed record OfferAnswer
{
    private OfferAnswer()
    {
    }

    /// <summary>The folder to receive into; null: refused, or taken by the application.</summary>
    public string? Folder { get; private init; }

    /// <summary>Told to the sender when refused.</summary>
    public string Reason { get; private init; } = "";

    /// <summary>Whether an existing file of the same name is replaced (atomically); otherwise that file fails. Default: no.</summary>
    public bool Replace { get; private init; }

    /// <summary>Says where each entry's bytes go; null: into the folder.</summary>
    public SinkFactory? Sinks { get; private init; }

    /// <summary>Largest total size taken, in bytes; of streams, as they grow.</summary>
    public long Quota { get; private init; } = long.MaxValue;

    /// <summary>Takes the offer into <paramref name="folder"/>, which is created if needed.</summary>
    public static OfferAnswer Accept(string folder, bool replace = false, long quota = long.MaxValue)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentOutOfRangeException.ThrowIfNegative(quota);
        return new OfferAnswer { Folder = folder, Replace = replace, Quota = quota };
    }

    /// <summary>
    /// Takes the offer without a folder: the bytes of each file or stream go, in order and one entry after the other, where
    /// <paramref name="sinks"/> says; folders and links are passed over. The sender waits for who is slow. Anything that fails ends the transfer,
    /// and after an end nothing can be resumed.
    /// </summary>
    public static OfferAnswer AcceptInto(SinkFactory sinks, long quota = long.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(sinks);
        ArgumentOutOfRangeException.ThrowIfNegative(quota);
        return new OfferAnswer { Sinks = sinks, Quota = quota };
    }

    /// <summary>Refuses.</summary>
    public static OfferAnswer Refuse(string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        return new OfferAnswer { Reason = reason };
    }
}
