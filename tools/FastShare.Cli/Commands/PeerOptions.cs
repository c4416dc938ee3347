using System.CommandLine;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Commands;

/// <summary>How commands take the other side and the time it may take to appear.</summary>
internal static class PeerOptions
{
    private const string Description = "A peer id, a multiaddr ending in /p2p/…, or a name";

    /// <param name="otherwise">What happens without it; null: it is required.</param>
    public static Option<PeerReference> To(string? otherwise = null) =>
        new("--to")
        {
            HelpName = "PEER",
            Required = otherwise is null,
            Description = otherwise is null ? Description : $"{Description} (default: {otherwise})",
            CustomParser = Values.Parse<PeerReference>(PeerReference.TryParse),
        };

    public static Argument<PeerReference> Argument() =>
        new("PEER") { Description = Description, CustomParser = Values.Parse<PeerReference>(PeerReference.TryParse) };

    public static Option<TimeSpan?> Wait() => new("--wait")
    {
        HelpName = "TIME",
        Description = "How long the peer may take to appear (default: 30s)",
        CustomParser = result => Values.Span(TimeSpan.Zero)(result),
    };
}
