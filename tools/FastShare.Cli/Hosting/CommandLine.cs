using System.CommandLine;
using System.CommandLine.Parsing;
using FastShare.Cli.Commands;
using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Cli.Hosting;

/// <summary>The command line as a whole: parses it, runs the command, and turns whatever happens into an exit code.</summary>
internal static class CommandLine
{
    private static readonly Option<bool> _json = new("--json")
    {
        Description = "Print one JSON object a line on standard output, and nothing else there",
        Recursive = true,
    };

    private static readonly Option<bool> _quiet = new("--quiet", "-q") { Description = "Print results and errors only", Recursive = true };

    private static readonly Option<bool> _verbose = new("--verbose", "-v")
    {
        Description = "Log what happens inside to standard error",
        Recursive = true,
    };

    /// <summary>Runs what <paramref name="args"/> say; returns the exit code.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = CreateRoot().Parse(args);
        string[] errors = UnknownCommand(parsed) is { } unknown ? [unknown] : [.. parsed.Errors.Select(Describe), .. UnknownOptions(parsed)];
        if (errors.Length > 0) return Reject(parsed, string.Join(" ", errors));
        return await parsed.InvokeAsync(new InvocationConfiguration
        {
            // interruptions and exceptions are this class's business
            ProcessTerminationTimeout = null,
            EnableDefaultExceptionHandler = false,
        });
    }

    /// <summary>Sets what a command does.</summary>
    public static void SetAction(Command command, Func<ParseResult, CommandContext, Task<int>> action) =>
        command.SetAction((parsed, _) => RunAsync(parsed, action));

    internal static RootCommand CreateRoot()
    {
        var root = new RootCommand("Finds peers on the local network and moves files between them: fast, encrypted, resumable.")
        {
            _json, _quiet, _verbose,
        };
        root.Add(DemoCommand.Create());
        root.Add(ReceiveCommand.Create());
        root.Add(SendCommand.Create());
        root.Add(PeersCommand.Create());
        root.Add(PingCommand.Create());
        root.Add(PerfCommand.Create());
        root.Add(BenchCommand.Create());
        root.Add(IdCommand.Create());
        root.Add(KnownCommand.Create());
        return root;
    }

    // Of several options with values alike, the message is to say which one it means.
    private static string Describe(ParseError error)
    {
        SymbolResult? of = error.SymbolResult;
        while (of is not (null or OptionResult)) of = of.Parent;
        return of is OptionResult { Option.Name: var name } && !error.Message.Contains(name, StringComparison.Ordinal)
            ? $"{name}: {error.Message}" : error.Message;
    }

    private static string? UnknownCommand(ParseResult parsed)
    {
        if (parsed.CommandResult.Command is not RootCommand root || parsed.UnmatchedTokens is not [var word, ..] || word.StartsWith('-')) return null;
        return $"There is no command '{word}'. There are: {string.Join(", ", root.Subcommands.Where(c => !c.Hidden).Select(c => c.Name))}.";
    }

    // The parser takes an option that it does not know for an argument where arguments are free text, such as paths.
    private static IEnumerable<string> UnknownOptions(ParseResult parsed)
    {
        string[] afterDashes = [.. parsed.Tokens.SkipWhile(token => token.Type != TokenType.DoubleDash).Select(token => token.Value)];
        return parsed.CommandResult.Command.Arguments
            .SelectMany(argument => parsed.GetResult(argument)?.Tokens ?? [])
            .Where(token => token.Value.Length > 1 && token.Value[0] == '-' && !afterDashes.Contains(token.Value))
            .Select(token => $"There is no option '{token.Value}'; for a file of that name, write ./{token.Value}");
    }

    private static int Reject(ParseResult parsed, string message)
    {
        OutputOptions options = ReadOutputOptions(parsed);
        if (options.Json) OutputWriter.Create(options, TimeProvider.System).Emit(new ErrorEvent("usage", message));
        else Console.Error.WriteLine(EventText.Escape(message));
        Console.Error.WriteLine($"Try: {NameOf(parsed.CommandResult.Command)} --help");
        return ExitCodes.Usage;
    }

    private static string NameOf(Command command) => command is RootCommand
        ? "fastshare"
        : $"{string.Join(' ', command.Parents.OfType<Command>().Select(NameOf))} {command.Name}";

    private static OutputOptions ReadOutputOptions(ParseResult parsed) =>
        new(parsed.GetValue(_json), parsed.GetValue(_quiet), parsed.GetValue(_verbose));

    private static async Task<int> RunAsync(ParseResult parsed, Func<ParseResult, CommandContext, Task<int>> action)
    {
        OutputOptions options = ReadOutputOptions(parsed);
        TimeProvider timeProvider = TimeProvider.System;
        await using OutputWriter output = OutputWriter.Create(options, timeProvider);
        using ILoggerFactory logs = options.Verbose
            ? new StandardErrorLogs(LogLevel.Debug, Console.Error, timeProvider)
            : new NullLoggerFactory();
        using var interruption = new Interruption(
            onFirst: () => output.Warn("Stopping; interrupt again to stop at once."),
            onExit: output.Restore);
        try
        {
            return await action(parsed, new CommandContext(output, options, logs, timeProvider, interruption));
        }
        catch (Exception e) when (interruption.Token.IsCancellationRequested && e is OperationCanceledException)
        {
            if (options.Json) output.Emit(new ErrorEvent(ExitCodes.KindOf(e), "interrupted"));
            return ExitCodes.Interrupted;
        }
        catch (Exception e)
        {
            Report(e, output);
            if (options.Verbose) output.Warn(EventText.Escape(e.ToString()));
            else if (e is not (TransferException or TransportException or UsageException or IOException or UnauthorizedAccessException))
                output.Warn("This should not happen; run it again with --verbose to see where it comes from.");
            return ExitCodes.For(e);
        }
    }

    /// <summary>Reports an error as an event.</summary>
    public static void Report(Exception error, OutputWriter output) => output.Emit(error switch
    {
        TransferException e => new ErrorEvent(ExitCodes.KindOf(e), e.Message, e.Peer?.ToString(), e.Path),
        TransportException e => new ErrorEvent(ExitCodes.KindOf(e), e.Message, e.Peer?.ToString()),
        _ => new ErrorEvent(ExitCodes.KindOf(error), error.Message),
    });
}
