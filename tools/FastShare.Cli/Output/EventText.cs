using System.Globalization;
using System.Text.Json;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Output;

/// <summary>Events and progress in words, for people. Everything that came from a peer is escaped here.</summary>
internal static class EventText
{
    /// <summary>One line about the event; null where a person need not read it.</summary>
    public static string? Describe(CliEvent report) => report switch
    {
        // further ones beside it are no news
        ConnectedEvent { Connections: > 1 } => null,
        ConnectedEvent { RttMs: { } rtt } e => $"Connected to {Short(e.Peer)} ({Security(e.Security)}, {Milliseconds(rtt)} round trip)",
        ConnectedEvent e => $"Connected to {Short(e.Peer)} ({Security(e.Security)})",
        OfferEvent e => $"{Short(e.Peer)} offers {Count(e.Files, "file")}, {ByteSize.Format(e.Bytes)}",
        // the first choice is no change worth reading
        ModeChangedEvent { From: "auto" } => null,
        ModeChangedEvent e when e.From == e.To => $"Still {e.To}: {PeerText.Escape(e.Why, 300)}",
        ModeChangedEvent e => $"Now {e.To} instead of {e.From}: {PeerText.Escape(e.Why)}",
        RetryEvent e => $"Connection lost ({Escape(e.Why)}); attempt {e.Attempt} in {Seconds(e.DelayMs / 1000)}",
        ResumedEvent e => $"Going on where it stopped: {ByteSize.Format(e.BytesAlready)} are already there",
        CompletedEvent e => Describe(e),
        // what the user did is no error
        ErrorEvent { Kind: "cancelled" } e => Escape(string.Concat(e.Message[..1].ToUpperInvariant(), e.Message[1..])),
        ErrorEvent e => "Error: " + Escape(e.Message),
        VerifiedEvent e => $"{(e.Matches ? "same" : "DIFFERENT")}  {e.Sha256}  {PeerText.Escape(e.Path, 60)} ({ByteSize.Format(e.Bytes)})",
        PingEvent e => $"Echo {e.Sequence} from {Short(e.Peer)}: {Milliseconds(e.RttMs)}",
        _ => null,
    };

    private static string Describe(CompletedEvent e)
    {
        string what = e.Files > 0 || e.Bytes == 0 ? $"{Count(e.Files, "file")}, {ByteSize.Format(e.Bytes)}" : ByteSize.Format(e.Bytes);
        string text = $"Done: {what} in {Seconds(e.Seconds)} ({ByteSize.FormatRate(e.BytesPerSecond)})";
        if (e.Connections > 1) text += $", over {e.Connections} connections";
        if (e.BytesResent > 0) text += $", {ByteSize.Format(e.BytesResent)} sent again";
        return e.FilesFailed > 0 ? $"{text}; {Count(e.FilesFailed, "file")} failed, see above" : text;
    }

    /// <summary>The event of a progress snapshot.</summary>
    public static ProgressEvent ToEvent(TransferProgress progress) => new(
        progress.Bytes, progress.IsOpenEnded ? null : progress.TotalBytes, progress.Files, progress.TotalFiles, Math.Round(progress.BytesPerSecond), Name(progress.Mode));

    /// <summary>Such as <c>42 % · 430 MiB of 1.00 GiB · 3 of 6 files · 612 MB/s · 1.0 s left</c>.</summary>
    public static string Describe(TransferProgress progress) => progress.State switch
    {
        TransferState.Connecting => "waiting for the peer",
        TransferState.Offered => "waiting for the other side to accept",
        // from memory to memory
        TransferState.Running when progress.TotalFiles == 0 => $"{ByteSize.Format(progress.Bytes)} · {Pace(progress)}",
        _ when progress.IsOpenEnded => $"{Bytes(progress)} · {Files(progress)} · {Pace(progress)}",
        _ => string.Create(
            CultureInfo.InvariantCulture,
            $"{Percent(progress):0} % · {Bytes(progress)} · {Files(progress)} · {Pace(progress)}"),
    };

    /// <summary>How much is done, 0 to 100; 0 as long as nobody knows.</summary>
    public static double Percent(TransferProgress progress) => progress.IsOpenEnded ? 0 : progress.TotalBytes > 0
        ? Math.Clamp(100.0 * progress.Bytes / progress.TotalBytes, 0, 100)
        : progress.State == TransferState.Completed ? 100 : 0;

    /// <summary>Such as <c>430 MiB of 1.00 GiB</c>, or <c>430 MiB</c> where nobody knows of how much.</summary>
    public static string Bytes(TransferProgress progress) => progress.IsOpenEnded ? ByteSize.Format(progress.Bytes) : $"{ByteSize.Format(progress.Bytes)} of {ByteSize.Format(progress.TotalBytes)}";

    /// <summary>Such as <c>3 of 6 files</c>.</summary>
    public static string Files(TransferProgress progress) =>
        string.Create(CultureInfo.InvariantCulture, $"{progress.Files} of {Count(progress.TotalFiles, "file")}");

    /// <summary>Rate and time left, or why nothing moves.</summary>
    public static string Pace(TransferProgress progress)
    {
        if (progress.State == TransferState.Reconnecting) return "connection lost, trying again";
        string rate = ByteSize.FormatRate(progress.BytesPerSecond);
        return TimeLeft(progress) is { } left ? $"{rate} · {Duration.Format(left)} left" : rate;
    }

    /// <summary>Time left at the present rate; null where that cannot be told.</summary>
    public static TimeSpan? TimeLeft(TransferProgress progress)
    {
        long left = progress.TotalBytes - progress.Bytes;
        if (progress.IsOpenEnded || progress.BytesPerSecond < 1 || left <= 0) return null;
        double seconds = left / progress.BytesPerSecond;
        return seconds < TimeSpan.FromDays(99).TotalSeconds ? TimeSpan.FromSeconds(seconds) : null;
    }

    /// <summary>The mode as <c>--mode</c> takes it.</summary>
    public static string Name(TransferMode mode) => mode switch
    {
        TransferMode.Sequential => "sequential",
        TransferMode.Parallel => "parallel",
        _ => "auto",
    };

    /// <summary>A stage as <c>--json</c> has it.</summary>
    public static string Name(TransferStage stage) => JsonNamingPolicy.CamelCase.ConvertName(stage.ToString());

    /// <summary>Where a transfer's time went, one line for each stage that had any.</summary>
    public static IEnumerable<string> Describe(StatisticsEvent e)
    {
        foreach (StageReport stage in e.Stages)
        {
            string bytes = stage.Bytes > 0 ? $"  {ByteSize.Format(stage.Bytes)}" : "";
            yield return string.Create(CultureInfo.InvariantCulture, $"{e.Direction} {stage.Stage,-18} {stage.Seconds,9:0.000} s{bytes}");
        }

        yield return string.Create(
            CultureInfo.InvariantCulture,
            $"{e.Direction} processor          {e.ProcessorSeconds,9:0.000} s, {ByteSize.Format(e.AllocatedBytes)} allocated, "
            + $"{Count(e.Collections, "collection")}");
    }

    /// <summary>Such as <c>1 file</c> or <c>12 files</c>.</summary>
    public static string Count(long count, string noun) =>
        string.Create(CultureInfo.InvariantCulture, $"{count:N0} {noun}{(count == 1 ? "" : "s")}");

    /// <summary>Escapes a message that may have several lines; the lines stay.</summary>
    public static string Escape(string message) =>
        string.Join('\n', message.ReplaceLineEndings("\n").Split('\n').Select(line => PeerText.Escape(line, 1000)));

    /// <summary>
    /// The lines shown above the question whether to take an offer. Every one is short, so that the question stays in sight.
    /// </summary>
    public static IReadOnlyList<string> DescribeOffer(TransferOffer offer)
    {
        const int NameLength = 48, MaxNames = 6;
        string name = offer.PeerName.Length > 0
            ? $"'{PeerText.Escape(offer.PeerName, NameLength)}' (peer {offer.Peer})"
            : $"Peer {offer.Peer}";
        string atLeast = offer.IsComplete ? "" : "at least ";
        List<string> lines = [$"{name} wants to send {atLeast}{Count(offer.Files, "file")}, {Size(offer)}:"];
        AddNames(offer.RootNames, "  ");
        if (offer.HiddenNames.Count > 0)
        {
            lines.Add($"  Look twice: {Count(offer.HiddenNames.Count, "hidden name")} among them:");
            AddNames(offer.HiddenNames, "    ");
        }

        return lines;

        void AddNames(IReadOnlyList<string> names, string indent)
        {
            lines.AddRange(names.Take(MaxNames).Select(text => indent + PeerText.Escape(text, NameLength)));
            // the list ends at 100, whatever else there is
            string more = names.Count >= 100 ? "many" : $"{names.Count - MaxNames}";
            if (names.Count > MaxNames) lines.Add($"{indent}… and {more} more");
        }
    }

    private static string Size(TransferOffer offer) => !offer.IsOpenEnded ? ByteSize.Format(offer.Bytes)
        : offer.Bytes == 0 ? "of a size that nobody knows yet" : $"{ByteSize.Format(offer.Bytes)} and what nobody knows yet";

    private static string Seconds(double seconds) => Duration.Format(TimeSpan.FromSeconds(seconds));

    private static string Milliseconds(double milliseconds) => Duration.FormatMilliseconds(TimeSpan.FromMilliseconds(milliseconds));

    private static string Short(string peer) => PeerId.TryParse(peer, out PeerId? id) ? id.ToShortString() : PeerText.Escape(peer, 20);

    private static string Security(string protocol) =>
        protocol.StartsWith("/plaintext", StringComparison.Ordinal) ? "NOT encrypted" : "encrypted: " + PeerText.Escape(protocol, 60);
}
