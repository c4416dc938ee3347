using System.Text.Json.Serialization;
using FastShare.Cli.Bench;

namespace FastShare.Cli.Output;

/// <summary>
/// Something a command reports. Each kind is one line of <c>--json</c> with the fields below in camelCase: scripts rely on
/// them. Strings hold peers' text as it came; whoever shows them to a person escapes them.
/// </summary>
/// <param name="Event">The kind's name.</param>
internal abstract record CliEvent([property: JsonPropertyOrder(-2)] string Event)
{
    /// <summary>When it was reported; set by the output.</summary>
    [JsonPropertyOrder(-1)]
    public DateTimeOffset Time { get; init; }
}

/// <summary>The node is up. The addresses end in its peer id and can be given to <c>--to</c>.</summary>
internal sealed record ListeningEvent(string Peer, IReadOnlyList<string> Addresses) : CliEvent("listening");

internal sealed record PeerFoundEvent(string Peer, IReadOnlyList<string> Addresses) : CliEvent("peerFound");

internal sealed record PeerExpiredEvent(string Peer, IReadOnlyList<string> Addresses) : CliEvent("peerExpired");

internal sealed record DialingEvent(string Peer, IReadOnlyList<string> Addresses) : CliEvent("dialing");

// RttMs is null where the round trip could not be measured.
internal sealed record ConnectedEvent(string Peer, int Connections, double? RttMs, string Security) : CliEvent("connected");

internal sealed record OfferEvent(string Peer, long Files, long Bytes) : CliEvent("offer");

// TotalBytes is null as long as nobody knows.
internal sealed record ProgressEvent(
    long Bytes, long? TotalBytes, long Files, long TotalFiles, double BytesPerSecond, string Mode) : CliEvent("progress");

internal sealed record ModeChangedEvent(string From, string To, string Why) : CliEvent("modeChanged");

internal sealed record RetryEvent(int Attempt, string Why, double DelayMs) : CliEvent("retry");

internal sealed record ResumedEvent(long BytesAlready) : CliEvent("resumed");

internal sealed record FileCompletedEvent(string Path, long Bytes, string Digest) : CliEvent("fileCompleted");

internal sealed record CompletedEvent(
    long Files, long Bytes, double Seconds, double BytesPerSecond, int Dials, int Connections, long BytesResent,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] long FilesFailed = 0) : CliEvent("completed");

/// <summary>Where a transfer's time went and what this process used for it; comes before <c>completed</c> or the error.</summary>
/// <param name="Direction"><c>send</c> or <c>receive</c>.</param>
/// <param name="Connections">Those that carried chunks at the end; 0 on the receiving side.</param>
/// <param name="Streams">Likewise.</param>
/// <param name="RttMs">The sender's; null: not measured.</param>
/// <param name="CongestionControl">The sender's kernel's; null: not changed.</param>
/// <param name="Stages">Those that had time or bytes, in the data's order: docs/telemetry.md says what each is.</param>
/// <param name="ProcessorSeconds">Of this process, over all cores.</param>
/// <param name="AllocatedBytes">Of this process, in managed memory.</param>
/// <param name="Collections">Garbage collections of this process.</param>
internal sealed record StatisticsEvent(
    string Direction, int Connections, int Streams, double? RttMs, string? CongestionControl, IReadOnlyList<StageReport> Stages,
    double ProcessorSeconds, long AllocatedBytes, int Collections) : CliEvent("statistics");

/// <summary>One stage; times add up over everything that works or waits at the same time.</summary>
internal sealed record StageReport(string Stage, double Seconds, long Bytes);

internal sealed record ErrorEvent(
    string Kind,
    string Message,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Peer = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Path = null) : CliEvent("error");

/// <summary><c>demo</c>: the digests of a file at the sender and at the receiver.</summary>
internal sealed record VerifiedEvent(string Path, long Bytes, string Sha256, bool Matches) : CliEvent("verified");

/// <summary><c>peers</c>: one row of the table.</summary>
internal sealed record PeerEvent(string Peer, string? Name, IReadOnlyList<string> Addresses, double? RttMs) : CliEvent("peer");

/// <summary><c>ping</c>: one echo.</summary>
internal sealed record PingEvent(string Peer, int Sequence, double RttMs) : CliEvent("ping");

/// <summary><c>perf</c>: the run as a whole; managed memory is what the process allocated since its start.</summary>
internal sealed record PerfEvent(
    string Peer, long UploadBytes, long DownloadBytes, double UploadSeconds, double DownloadSeconds,
    double UploadBytesPerSecond, double DownloadBytesPerSecond, long AllocatedBytes) : CliEvent("perf");

/// <summary><c>perf listen</c>: a peer has left; managed memory that this process allocated since the last one did.</summary>
internal sealed record ServedEvent(string Peer, long AllocatedBytes) : CliEvent("served");

/// <summary><c>bench</c>: what was measured, and what it means.</summary>
/// <param name="Peer">The other side.</param>
/// <param name="Security">The connections' security protocol.</param>
/// <param name="RttMs">The shortest round trip.</param>
/// <param name="Processors">Cores of this machine.</param>
/// <param name="HashBytesPerSecond">Hashing on one core.</param>
/// <param name="CipherBytesPerSecond">Encrypting on one core; null: no encryption.</param>
/// <param name="DiskBytesPerSecond">Reading the given files; null: none were given.</param>
/// <param name="Runs">Memory to memory.</param>
/// <param name="Sending">What limits sending, the lowest first; two where they are about equal.</param>
/// <param name="Receiving">What limits receiving.</param>
/// <param name="File">From disk to disk; null: the other side takes no files, or none was wanted.</param>
/// <param name="FileToFile">What limits that; null likewise.</param>
/// <param name="Others">What other programs did (<c>--compare</c>).</param>
internal sealed record BenchEvent(
    string Peer, string Security, double RttMs, int Processors, double HashBytesPerSecond, double? CipherBytesPerSecond,
    double? DiskBytesPerSecond, IReadOnlyList<BenchRunReport> Runs, IReadOnlyList<LimitReport> Sending,
    IReadOnlyList<LimitReport> Receiving, BenchFileReport? File, LimitReport? FileToFile, IReadOnlyList<OtherToolReport> Others) : CliEvent("bench");

/// <summary>One run of <c>bench</c>; the fields are those of <see cref="BenchRun"/>, null where the system does not tell.</summary>
internal sealed record BenchRunReport(
    string Direction, int Connections, long Bytes, double Seconds, double BytesPerSecond, double Cores, double? MachineBusy, double CipherPart,
    double WaitingForPath, double WaitingForWindow, double WaitingForBytes, double? SendBufferLimited, double? ReceiveWindowLimited,
    double? LoadedRttMs, double? Repeated, double OtherCores);

/// <summary>One file from disk to disk; seconds in each stage, null where the other side does not tell.</summary>
internal sealed record BenchFileReport(
    long Bytes, double Seconds, double BytesPerSecond, double Cores, double? MachineBusy, double CipherPart, int Connections,
    IReadOnlyDictionary<string, double> Sender, IReadOnlyDictionary<string, double>? Receiver);

/// <summary>What another program did with the same amount; null and why: nothing.</summary>
internal sealed record OtherToolReport(string Name, bool IsFile, double? BytesPerSecond, string? Problem);

/// <summary>
/// A bottleneck: <c>disk</c>, <c>writing</c> (the other side's disk), <c>hash</c>, <c>processor</c>, <c>oneCore</c>, <c>window</c>, <c>loss</c>, <c>otherSide</c>, <c>network</c>,
/// <c>beyond</c> (network or other side), <c>unclear</c>.
/// </summary>
internal sealed record LimitReport(string Bottleneck, double BytesPerSecond, string Why, string Advice);

/// <summary><c>id</c>.</summary>
internal sealed record IdentityEvent(string Peer, string Name, string? KeyFile, IReadOnlyList<string> Addresses) : CliEvent("id");

/// <summary><c>known</c>: one row of the table.</summary>
internal sealed record KnownPeerEvent(string Peer, string Name, bool Trusted, string Since) : CliEvent("known");

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ListeningEvent))]
[JsonSerializable(typeof(PeerFoundEvent))]
[JsonSerializable(typeof(PeerExpiredEvent))]
[JsonSerializable(typeof(DialingEvent))]
[JsonSerializable(typeof(ConnectedEvent))]
[JsonSerializable(typeof(OfferEvent))]
[JsonSerializable(typeof(ProgressEvent))]
[JsonSerializable(typeof(ModeChangedEvent))]
[JsonSerializable(typeof(RetryEvent))]
[JsonSerializable(typeof(ResumedEvent))]
[JsonSerializable(typeof(FileCompletedEvent))]
[JsonSerializable(typeof(CompletedEvent))]
[JsonSerializable(typeof(StatisticsEvent))]
[JsonSerializable(typeof(ErrorEvent))]
[JsonSerializable(typeof(VerifiedEvent))]
[JsonSerializable(typeof(PeerEvent))]
[JsonSerializable(typeof(PingEvent))]
[JsonSerializable(typeof(PerfEvent))]
[JsonSerializable(typeof(ServedEvent))]
[JsonSerializable(typeof(BenchEvent))]
[JsonSerializable(typeof(IdentityEvent))]
[JsonSerializable(typeof(KnownPeerEvent))]
internal sealed partial class CliEventContext : JsonSerializerContext;
