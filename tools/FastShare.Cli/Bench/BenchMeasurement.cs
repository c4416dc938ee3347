using FastShare.Cli.Hosting;

namespace FastShare.Cli.Bench;

/// <summary>All that <c>bench</c> measured: what <see cref="Diagnosis"/> decides from.</summary>
/// <param name="RoundTrip">The shortest round trip of an idle connection.</param>
/// <param name="Processors">Cores of this machine.</param>
/// <param name="HashBytesPerSecond">Hashing chunks on one core.</param>
/// <param name="CipherBytesPerSecond">Encrypting on one core; null: the connection is not encrypted.</param>
/// <param name="DiskBytesPerSecond">Reading the given files; null: none were given.</param>
/// <param name="Runs">Memory to memory: both directions, over one connection and over several.</param>
internal sealed record BenchMeasurement(
    TimeSpan RoundTrip, int Processors, double HashBytesPerSecond, double? CipherBytesPerSecond, double? DiskBytesPerSecond,
    IReadOnlyList<BenchRun> Runs)
{
    /// <summary>From this side's disk to the other's; null: the other side takes no files, or none was wanted.</summary>
    public FileRun? File { get; init; }

    /// <summary>What other programs did; empty: nobody asked.</summary>
    public IReadOnlyList<OtherTool> Others { get; init; } = [];
}

/// <summary>One run of the perf protocol. Parts are of the time measured, 0 to 1, on average over its connections.</summary>
/// <param name="Direction">Which way.</param>
/// <param name="Connections">Over how many.</param>
/// <param name="Bytes">Bytes moved in the time measured.</param>
/// <param name="Time">The time measured, without the start.</param>
/// <param name="Cores">Cores that this process kept busy.</param>
/// <param name="MachineBusy">Part of all cores' time that was used, by whatever program; null where the system does not tell.</param>
/// <param name="CipherPart">Part of this process's processor time that went into the cipher.</param>
/// <param name="WaitingForPath">The system had no room for more.</param>
/// <param name="WaitingForWindow">The other side gave no credit.</param>
/// <param name="WaitingForBytes">Nothing arrived.</param>
/// <param name="SendBufferLimited">The kernel's send buffer held the flow back; null where the kernel does not tell.</param>
/// <param name="ReceiveWindowLimited">The receiver's TCP window did; null likewise.</param>
/// <param name="LoadedRoundTrip">The kernel's round trip at the end; null likewise.</param>
/// <param name="Repeated">Part of the segments that were sent again; null likewise, and where nothing was sent.</param>
internal sealed record BenchRun(
    PerfDirection Direction,
    int Connections,
    long Bytes,
    TimeSpan Time,
    double Cores,
    double? MachineBusy,
    double CipherPart,
    double WaitingForPath,
    double WaitingForWindow,
    double WaitingForBytes,
    double? SendBufferLimited,
    double? ReceiveWindowLimited,
    TimeSpan? LoadedRoundTrip,
    double? Repeated)
{
    /// <summary>Cores that the other side kept busy, if it runs on this machine; else 0.</summary>
    public double OtherCores { get; init; }

    public double BytesPerSecond => Time > TimeSpan.Zero ? Bytes / Time.TotalSeconds : 0;
}
