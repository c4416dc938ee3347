using System.CommandLine;
using FastShare.Cli.Parsing;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>How a command's node is set up.</summary>
/// <param name="Listen">Where to listen; null: the default.</param>
/// <param name="Mdns">Whether to announce and look on the local network.</param>
/// <param name="Interfaces">mDNS only on these; empty: on all that can.</param>
/// <param name="KeyFile">The identity's file; null: a fresh identity.</param>
/// <param name="Insecure">No encryption and no authentication.</param>
/// <param name="Name">What people call it; null: the machine's name.</param>
/// <param name="KnownPeersFile">Names and keys of peers met before; null: nobody is remembered.</param>
internal sealed record NodeSettings(
    IReadOnlyList<Multiaddr>? Listen, bool Mdns, IReadOnlyList<string> Interfaces, string? KeyFile, bool Insecure, string? Name,
    string? KnownPeersFile)
{
    /// <summary>Every address, the port chosen by the system.</summary>
    public static IReadOnlyList<Multiaddr> DefaultListen { get; } =
        [Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"), Multiaddr.Parse("/ip6/::/tcp/0")];

    /// <summary><c>fastshare/identity.key</c> in the user's configuration folder.</summary>
    public static string DefaultKeyFile => Path.Combine(ConfigurationFolder, "fastshare", "identity.key");

    /// <summary><c>fastshare/known-peers</c> in the user's configuration folder.</summary>
    public static string DefaultKnownPeersFile => Path.Combine(ConfigurationFolder, "fastshare", "known-peers");

    // XDG base directory specification: only absolute paths count
    private static string ConfigurationFolder =>
        Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { } folder && Path.IsPathFullyQualified(folder) ? folder
        : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData)
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".config");

    /// <summary>The peers met before; null also with <see cref="Insecure"/>: nothing is proved there, so nobody is believed or remembered.</summary>
    public KnownPeers? OpenKnownPeers() => Insecure || KnownPeersFile is null ? null : KnownPeers.Open(KnownPeersFile);

    /// <summary>Loads or makes the identity; the caller disposes it.</summary>
    public PeerIdentity OpenIdentity() => KeyFile is null ? PeerIdentity.Generate() : PeerIdentity.LoadOrCreate(KeyFile);
}

/// <summary>The options of every command that runs a node.</summary>
internal sealed class NodeOptions
{
    private readonly Option<Multiaddr[]> _listen = new("--listen")
    {
        HelpName = "MULTIADDR",
        Description = "Listen here; repeatable (default: every address, a port chosen by the system)",
        CustomParser = Values.ParseAll<Multiaddr>(Values.TryParseListenAddress),
    };

    private readonly Option<bool> _noMdns =
        new("--no-mdns") { Description = "Neither announce this node nor look for peers on the local network" };

    private readonly Option<string[]> _interfaces = new("--interface")
    {
        HelpName = "NAME",
        Description = "Announce and look on this network interface only; repeatable",
    };

    private readonly Option<string?> _identity = new("--identity")
    {
        HelpName = "FILE",
        Description = "The key file (default: fastshare/identity.key in your configuration folder)",
    };

    private readonly Option<bool> _ephemeral =
        new("--ephemeral") { Description = "Use a fresh identity, for this run only (a later run cannot resume its transfers)" };

    private readonly Option<bool> _insecure =
        new("--insecure") { Description = "No encryption and no authentication; both sides must say so" };

    private readonly Option<string?> _name =
        new("--name") { HelpName = "NAME", Description = "What others see this node called (default: the machine's name)" };

    private readonly Option<string?> _knownPeers = KnownPeersFile();

    /// <summary>Where known peers stand.</summary>
    public static Option<string?> KnownPeersFile() => new("--known-peers")
    {
        HelpName = "FILE",
        Description = "Names and keys of peers met before (default: fastshare/known-peers in your configuration folder)",
    };

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_listen);
        command.Add(_noMdns);
        command.Add(_interfaces);
        command.Add(_identity);
        command.Add(_ephemeral);
        command.Add(_insecure);
        command.Add(_name);
        command.Add(_knownPeers);
        command.Validators.Add(result =>
        {
            if (result.GetValue(_ephemeral) && result.GetValue(_identity) is not null)
                result.AddError("--identity and --ephemeral exclude each other.");
            if (result.GetValue(_noMdns) && result.GetValue(_interfaces) is { Length: > 0 })
                result.AddError("--no-mdns and --interface exclude each other.");
            if (result.GetValue(_name) is { } name && !PeerReference.IsName(name))
                result.AddError($"--name takes 1 to {PeerReference.MaxNameBytes} bytes.");
            if (result.GetValue(_identity) is "") result.AddError("--identity needs a file name.");
        });
    }

    /// <summary>What the user chose.</summary>
    public NodeSettings Read(ParseResult parsed) => new(
        parsed.GetValue(_listen) is { Length: > 0 } listen ? listen : null,
        !parsed.GetValue(_noMdns),
        parsed.GetValue(_interfaces) ?? [],
        parsed.GetValue(_ephemeral) ? null : Path.GetFullPath(parsed.GetValue(_identity) ?? NodeSettings.DefaultKeyFile),
        parsed.GetValue(_insecure),
        parsed.GetValue(_name),
        Path.GetFullPath(parsed.GetValue(_knownPeers) ?? NodeSettings.DefaultKnownPeersFile));
}
