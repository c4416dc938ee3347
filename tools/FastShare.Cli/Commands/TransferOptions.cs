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
        Description = "Streams in parallel mode, 1 to 64",
        DefaultValueFactory = _ => new SendOptions().Streams,
        CustomParser = Values.Integer(1, 64),
    };

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_mode);
        command.Add(_streams);
    }

    /// <summary>What the user chose.</summary>
    public SendOptions Read(ParseResult parsed, TimeSpan? waitForPeer) => new()
    {
        Mode = parsed.GetValue(_mode),
        Streams = parsed.GetValue(_streams),
        WaitForPeer = waitForPeer ?? new SendOptions().WaitForPeer,
    };
}
