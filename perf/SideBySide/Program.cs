using System.Runtime.InteropServices;
using FastShare.SideBySide;
using FastShare.SideBySide.DotNet;
using FastShare.SideBySide.Reporting;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
// Its servers and folders must not stay behind either way.
using PosixSignalRegistration ended = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using PosixSignalRegistration hungUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);

if (args is ["--help" or "-h" or "-?", ..])
{
    Console.WriteLine(Settings.Usage);
    return 0;
}

try
{
    if (await Peers.TryRunAsync(args, stop.Token)) return 0;
    var settings = Settings.Parse(args);
    return settings.Compare is { } commits
        ? History.Compare(settings.History!, commits.Before, commits.After, Console.Out)
        : await SideBySideRun.RunAsync(settings, stop.Token);
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    Console.Error.WriteLine(Settings.Usage);
    return 2;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 130;
}

void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    stop.Cancel();
}
