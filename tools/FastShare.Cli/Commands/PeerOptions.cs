using System.CommandLine;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Commands;

/// <summary>How commands take the other side and the time it may take to appear.</summary>
internal static class PeerOptions
{
    private const string Description = "A peer id, a multiaddr ending in /p2p/…, or a name";

    public static Option<PeerReference> To() =>
        new("--to")
        {
            HelpName = "PEER",
            Required = true,
            Description = Description,
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
