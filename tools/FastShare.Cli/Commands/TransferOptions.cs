using System.CommandLine;
using FastShare.Cli.Parsing;
using FastShare.Transfer;

namespace FastShare.Cli.Commands;

/// <summary>The options of commands that send.</summary>
internal sealed class TransferOptions
{
    private readonly Option<TransferMode> _mode = new("--mode")
    {
        HelpName = "auto|sequential|parallel",
        Description = "One file after another, or many files and ranges at once (default: auto)",
        CustomParser = Values.Mode,
    };

    private readonly Option<int> _streams = new("--streams")
    {
        HelpName = "N",
        Description = "Streams in parallel mode, over all connections, 1 to 64",
        DefaultValueFactory = _ => new SendOptions().Streams,
        CustomParser = Values.Integer(1, 64),
    };

    private readonly Option<int?> _connections = new("--connections")
    {
        HelpName = "N",
        Description = "Connections to the peer, 1 to 32 (default: as many as measurements show to be worth it)",
        CustomParser = result => Values.Integer(1, SendOptions.MaxConnections)(result),
    };

    private readonly Option<long?> _rate = new("--rate")
    {
        HelpName = "RATE",
        Description = "Send at most so much a second, such as 100MB/s (default: no limit)",
        CustomParser = Values.Rate,
    };

    private readonly Option<string?> _congestion = new("--congestion")
    {
        HelpName = "NAME",
        Description = "The kernel's congestion control to use, such as cubic (Linux; default: BBR over paths that are far or lose segments)",
        CustomParser = Values.CongestionControl,
    };

    private readonly Option<bool> _links = new("--links")
    {
        Description = "Send symbolic links as links, where they stay within what is sent (otherwise they are passed over)",
    };

    private readonly Option<bool> _checksum = new("--checksum")
    {
        Description = "Compare files that are there already by content instead of size and time; both sides read them",
    };

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_mode);
        command.Add(_streams);
        command.Add(_connections);
        command.Add(_rate);
        command.Add(_congestion);
        command.Add(_links);
        command.Add(_checksum);
    }

    /// <summary>What the user chose.</summary>
    public SendOptions Read(ParseResult parsed, TimeSpan? waitForPeer) => new()
    {
        Mode = parsed.GetValue(_mode),
        Streams = parsed.GetValue(_streams),
        Connections = parsed.GetValue(_connections),
        RateLimit = parsed.GetValue(_rate),
        CongestionControl = parsed.GetValue(_congestion),
        KeepLinks = parsed.GetValue(_links),
        CompareContent = parsed.GetValue(_checksum),
        WaitForPeer = waitForPeer ?? new SendOptions().WaitForPeer,
    };
}
