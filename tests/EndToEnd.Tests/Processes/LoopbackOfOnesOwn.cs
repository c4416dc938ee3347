namespace FastShare.EndToEnd.Tests.Processes;

/// <summary>
/// For who listens at one port again and again: on 127.0.0.1 anybody may be given that port in between, on an address of its own nobody.
/// Linux serves all of 127.0.0.0/8.
/// </summary>
internal static class LoopbackOfOnesOwn
{
    private static int _made; // interlocked

    /// <summary>Where to listen the first time; the port that is found there stays free for the next.</summary>
    public static string Listen() =>
        $"/ip4/127.{1 + (Environment.ProcessId / 250 % 250)}.{1 + (Environment.ProcessId % 250)}.{1 + (Interlocked.Increment(ref _made) % 250)}/tcp/0";
}
