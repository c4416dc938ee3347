using System.CommandLine;
using System.Runtime.InteropServices;

namespace FastShare.Cli.Hosting;

/// <summary>
/// Ctrl-C, SIGTERM and a closed terminal. The first ends the command cleanly through <see cref="Token"/>; the second, or a
/// clean end that takes longer than <see cref="CleanStopLimit"/>, ends the process at once. Thread-safe.
/// </summary>
internal sealed partial class Interruption : IDisposable
{
    /// <summary>
    /// How long a clean stop may take. A last checkpoint has at most 64 MiB to sync, which a slow disk does in well under this.
    /// </summary>
    public static readonly TimeSpan CleanStopLimit = TimeSpan.FromSeconds(15);

    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly Action _onFirst;
    private readonly Action _onExit;
    private Timer? _limit; // written once, by the first signal
    private int _signals; // interlocked

    /// <param name="onFirst">Tells the user that the command is stopping; called on the signal's thread.</param>
    /// <param name="onExit">Puts the terminal in order before the process ends at once.</param>
    public Interruption(Action onFirst, Action onExit)
    {
        _onFirst = onFirst;
        _onExit = onExit;
        AttendToInterrupts();
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal));
    }

    /// <summary>Cancelled by the first interruption.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>How a program that runs this one makes sure that it does not outlive it: see <see cref="FollowStandardInput"/>.</summary>
    public static Option<bool> ExitWithStandardInput() => new("--exit-with-stdin") { Hidden = true };

    /// <summary>Interrupts when standard input ends.</summary>
    public void FollowStandardInput() => _ = WatchStandardInputAsync();

    /// <summary>Interrupts as a signal would.</summary>
    public void Interrupt()
    {
        if (Interlocked.Increment(ref _signals) > 1)
        {
            ExitAtOnce();
            return;
        }

        _limit = new Timer(_ => ExitAtOnce(), null, CleanStopLimit, Timeout.InfiniteTimeSpan);
        _onFirst();
        _stop.Cancel();
    }

    // Not awaited: a read of standard input cannot be cancelled, so this ends with the process.
    private async Task WatchStandardInputAsync()
    {
        byte[] ignored = new byte[256];
        try
        {
            await using Stream input = Console.OpenStandardInput();
            while (await input.ReadAsync(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
            // as good as the end
        }

        Interrupt();
    }

    // A shell without job control starts background commands with SIGINT ignored, and the runtime leaves ignored signals alone.
    // Whoever sends SIGINT to this process means it: a transfer in a script must end resumable when the script is interrupted.
    private static void AttendToInterrupts()
    {
        const int Sigint = 2;
        if (!OperatingSystem.IsWindows()) SetSignal(Sigint, handler: 0);
    }

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint SetSignal(int signal, nint handler);

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        Interrupt();
    }

    private void ExitAtOnce()
    {
        _onExit();
        Environment.Exit(ExitCodes.Interrupted);
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _limit?.Dispose();
        _stop.Dispose();
    }
}
