using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare ping</c>: measures the round trip to a peer with libp2p's ping.</summary>
internal static class PingCommand
{
    private const int DefaultCount = 4;
    private static readonly TimeSpan _pause = TimeSpan.FromSeconds(1);

    /// <summary>As long as the ping of other libp2p implementations waits for an echo.</summary>
    private static readonly TimeSpan _echoLimit = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        Argument<PeerReference> peer = PeerOptions.Argument();
        Option<TimeSpan?> wait = PeerOptions.Wait();
        var count = new Option<int>("--count")
        {
            HelpName = "N",
            Description = "How many echoes to ask for, one a second",
            DefaultValueFactory = _ => DefaultCount,
            CustomParser = Values.Integer(1, int.MaxValue),
        };
        var nodeOptions = new NodeOptions();
        var command = new Command("ping", "Measures the round trip to a libp2p peer.") { peer, count, wait };
        nodeOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            parsed.GetRequiredValue(peer), parsed.GetValue(count), parsed.GetValue(wait) ?? new SendOptions().WaitForPeer,
            nodeOptions.Read(parsed), context));
        return command;
    }

    private static async Task<int> RunAsync(
        PeerReference reference, int count, TimeSpan wait, NodeSettings settings, CommandContext context)
    {
        await using NodeSession session = await NodeSession.StartAsync(settings, context, listenByDefault: false);
        PeerConnection connection = await session.ConnectAsync(reference, wait, context);
        var times = new List<TimeSpan>();
        for (int sequence = 1; sequence <= count; sequence++)
        {
            if (sequence > 1) await Task.Delay(_pause, context.TimeProvider, context.Stop);
            TimeSpan time;
            try
            {
                time = await EchoAsync(connection, context);
            }
            catch (TransportException) when (connection.Closed.IsCompleted)
            {
                // Pings do not keep a connection that is otherwise idle: the peer closed it in the pause.
                connection = await session.ConnectAsync(reference, wait, context);
                time = await EchoAsync(connection, context);
            }

            times.Add(time);
            context.Output.Emit(new PingEvent(connection.Peer.ToString(), sequence, Math.Round(time.TotalMilliseconds, 3)));
        }

        context.Output.Say(
            $"{EventText.Count(times.Count, "echo")}: fastest {Duration.FormatMilliseconds(times.Min())}, "
            + $"mean {Duration.FormatMilliseconds(TimeSpan.FromTicks((long)times.Average(time => time.Ticks)))}, "
            + $"slowest {Duration.FormatMilliseconds(times.Max())}");
        return ExitCodes.Done;
    }

    private static async Task<TimeSpan> EchoAsync(PeerConnection connection, CommandContext context)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        limit.CancelAfter(_echoLimit);
        try
        {
            return await connection.PingAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!context.Stop.IsCancellationRequested)
        {
            string message = $"peer {connection.Peer} did not echo within {Duration.Format(_echoLimit)}";
            throw new TransportException(TransportError.Timeout, message) { Peer = connection.Peer };
        }
    }
}
