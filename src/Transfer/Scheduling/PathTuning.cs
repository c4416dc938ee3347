namespace FastShare.Transfer.Scheduling;

/// <summary>Which kernel options suit a connection that carries chunks (docs/modes.md, "Network tuning").</summary>
internal static class PathTuning
{
    /// <summary>
    /// What bulk connections use over such paths, where the kernel offers it: measured over 20 ms with 0.1 % loss, cubic moves 24 Mbit/s
    /// of 1000 and BBR 951.
    /// </summary>
    public const string BulkControl = "bbr";

    /// <summary>
    /// Unsent bytes the kernel takes at most on the shared connection: 4 ms of 1 Gbit/s, so that a request beside bulk waits no longer
    /// than that for its turn, and yet enough that the line does not run dry while this process waits for a processor.
    /// </summary>
    public const int NotSentBytes = 512 << 10;

    private static readonly TimeSpan Far = TimeSpan.FromMilliseconds(5);

    /// <summary>The longest name of a congestion control: <c>TCP_CA_NAME_MAX</c> without the zero at its end.</summary>
    private const int MaxControlName = 15;

    /// <summary>Whether a kernel may have a congestion control of this name.</summary>
    public static bool IsControlName(string name) =>
        name.Length is > 0 and <= MaxControlName && name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-');

    /// <summary>
    /// Whether bulk should not take loss for congestion: far away, or where segments get lost. Nearby and without loss, BBR's pacing
    /// costs a third of the throughput that the processor allows (measured on a link without limit: 9.4 instead of 14 Gbit/s).
    /// </summary>
    /// <param name="roundTrip">The path's shortest round-trip time, if known.</param>
    /// <param name="repeated">Part of the segments, 0 to 1, sent again.</param>
    public static bool WantsBulkControl(TimeSpan? roundTrip, double repeated) => roundTrip >= Far || repeated >= 1e-3;
}
