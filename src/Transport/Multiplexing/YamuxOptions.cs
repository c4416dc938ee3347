using FastShare.Transport.Buffers;
using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Multiplexing;

/// <summary>Limits and timers of a <see cref="YamuxConnection"/>. Every value is checked when it is set.</summary>
internal sealed class YamuxOptions
{
    /// <summary>The defaults.</summary>
    public static YamuxOptions Default { get; } = new();

    /// <summary>
    /// Receive window of a new stream, in bytes: at least 256 KiB, which both sides assume without any exchange (the default);
    /// what is above goes out with the SYN or ACK and is taken from <see cref="GrowthBudget"/>.
    /// </summary>
    public uint InitialWindow
    {
        get;
        init => field = InRange(value, SendCredit.Initial, 1u << 30, nameof(InitialWindow));
    } = SendCredit.Initial;

    /// <summary>
    /// Largest receive window of one stream, in bytes. Default 16 MiB, as go-libp2p and js-libp2p: 1.3 Gbit/s over 100 ms.
    /// </summary>
    public uint MaxStreamWindow
    {
        get;
        init => field = InRange(value, SendCredit.Initial, 1u << 30, nameof(MaxStreamWindow));
    } = 16 << 20;

    /// <summary>
    /// What all windows of one connection may grow beyond 256 KiB each, in bytes. Default 64 MiB: four streams at their largest.
    /// </summary>
    public long GrowthBudget { get; init => field = InRange(value, 0, long.MaxValue, nameof(GrowthBudget)); } = 64 << 20;

    /// <summary>
    /// Memory that received, unread data of one connection may take, in bytes. Default 192 MiB: the growth budget and 512 streams
    /// with their initial window full. A stream whose data finds no room is reset.
    /// </summary>
    public long MaxBufferedBytes { get; init => field = InRange(value, 1 << 20, long.MaxValue, nameof(MaxBufferedBytes)); } = 192 << 20;

    /// <summary>
    /// Memory that received, unread data of all connections of the process may take; each connection as much as is then left to the others.
    /// Default: 1 GiB shared by all.
    /// </summary>
    public ByteBudget ProcessBuffers { get; init; } = SharedBuffers;

    /// <summary>
    /// Streams opened by the remote side that no one has accepted yet; more are refused (RST). Default 512, twice what go and rust
    /// leave unacknowledged.
    /// </summary>
    public int AcceptBacklog { get; init => field = InRange(value, 1, 65536, nameof(AcceptBacklog)); } = 512;

    /// <summary>
    /// Streams opened by the remote side whose handlers still run, be they reset or not; more are refused (RST). Default 4096.
    /// </summary>
    public int MaxInboundStreams { get; init => field = InRange(value, 1, 1 << 20, nameof(MaxInboundStreams)); } = 4096;

    /// <summary>Own streams opened and not acknowledged; opening waits at this number. Default 256, as go-yamux and rust-yamux.</summary>
    public int MaxUnacknowledged { get; init => field = InRange(value, 1, 65536, nameof(MaxUnacknowledged)); } = 256;

    /// <summary>
    /// The same until the remote side has answered any stream at all. Default 8: js-libp2p gives up a connection on which more than
    /// ten streams arrive before its handlers are in place.
    /// </summary>
    public int MaxUnacknowledgedAtFirst { get; init => field = InRange(value, 1, 65536, nameof(MaxUnacknowledgedAtFirst)); } = 8;

    /// <summary>
    /// Payload of one data frame while one stream has data; a short rest goes with the last. Default 131006: exactly two sealed records of
    /// 65503 bytes, for a Noise channel gives large writes records of their own. Peers accept any size up to the window (rust: up to 1 MiB).
    /// </summary>
    public int MaxPayload { get; init => field = InRange(value, 1, 256 << 10, nameof(MaxPayload)); } = 2 * 65503;

    /// <summary>Payload of one data frame while several streams have data. Default 65503: one sealed record.</summary>
    public int SharedPayload { get; init => field = InRange(value, 1, 256 << 10, nameof(SharedPayload)); } = 65503;

    /// <summary>A ping goes out this often: measures the round trip and shows that the peer lives. Default 10 s.</summary>
    public TimeSpan PingInterval { get; init => field = Positive(value, nameof(PingInterval)); } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A peer that sends nothing at all for this long after a ping is dead. Default 10 s; a dead peer is so noticed within 20 s.
    /// </summary>
    public TimeSpan PingTimeout { get; init => field = Positive(value, nameof(PingTimeout)); } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A batch that the channel has not taken for this long, while nothing comes from the peer, ends the connection; a peer that
    /// still sends but never reads has four times as long. Default 15 s (go: 10 s for 64 KiB).
    /// </summary>
    public TimeSpan WriteStallTimeout { get; init => field = Positive(value, nameof(WriteStallTimeout)); } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// A connection that nothing has used for this long is closed in good order; streams use it, and holds. Null (the default): never.
    /// </summary>
    public TimeSpan? IdleTimeout
    {
        get;
        init => field = value is { } time ? Positive(time, nameof(IdleTimeout)) : null;
    }

    /// <summary>Closing waits this long for queued data to leave, then aborts. Default 5 s.</summary>
    public TimeSpan CloseTimeout { get; init => field = Positive(value, nameof(CloseTimeout)); } = TimeSpan.FromSeconds(5);

    /// <summary>After a go-away, how long the other direction gets to end by itself. Default 1 s.</summary>
    public TimeSpan GoodbyeTimeout { get; init => field = Positive(value, nameof(GoodbyeTimeout)); } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long a stream whose local sides both ended waits for the remote end before it is reset. Default 5 s. (An immediate
    /// reset would make go-yamux throw away the answer that it has not read yet.)
    /// </summary>
    public TimeSpan LingerTimeout { get; init => field = Positive(value, nameof(LingerTimeout)); } = TimeSpan.FromSeconds(5);

    /// <summary>Pings, pongs nobody asked for, and frames that carry nothing: at once. Default 4000.</summary>
    public int IdleFrameBurst { get; init => field = InRange(value, 1, 1 << 24, nameof(IdleFrameBurst)); } = 4000;

    /// <summary>The same, per second in the long run. Default 2000: twice the pings a <see cref="YamuxConnection"/> ever sends.</summary>
    public int IdleFramesPerSecond { get; init => field = InRange(value, 1, 1 << 24, nameof(IdleFramesPerSecond)); } = 2000;

    /// <summary>
    /// Streams that the remote side opened and reset itself, or that were refused: at once. Default 5000, more than all streams it
    /// can have.
    /// </summary>
    public int ChurnBurst { get; init => field = InRange(value, 1, 1 << 24, nameof(ChurnBurst)); } = 5000;

    /// <summary>The same, per second in the long run. Default 500.</summary>
    public int ChurnPerSecond { get; init => field = InRange(value, 1, 1 << 24, nameof(ChurnPerSecond)); } = 500;

    /// <summary>Where receive and send blocks come from.</summary>
    public BlockPool Pool { get; init; } = BlockPool.Shared;

    private static ByteBudget SharedBuffers { get; } = new(1L << 30);

    private static T InRange<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be between {least} and {most}");
        return value;
    }

    private static TimeSpan Positive(TimeSpan value, string name) => InRange(value, TimeSpan.FromTicks(1), TimeSpan.FromDays(1), name);
}
