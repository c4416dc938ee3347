namespace FastShare.Transport.Requests;

/// <summary>Which side of a protocol a node takes.</summary>
[Flags]
public enum RequestDirection
{
    /// <summary>It answers requests; it sends none.</summary>
    Inbound = 1,

    /// <summary>It sends requests; the protocol is not offered to peers.</summary>
    Outbound = 2,

    /// <summary>Both.</summary>
    Both = Inbound | Outbound,
}

/// <summary>What becomes of a request that finds its peer's queue full.</summary>
public enum QueueFullMode
{
    /// <summary>It waits for room, in the order of the calls; its deadline runs.</summary>
    Wait,

    /// <summary>It fails at once with <see cref="RequestFailure.QueueFull"/>.</summary>
    Fail,
}

/// <summary>Settings of a <see cref="RequestProtocol{TRequest, TResponse}"/>. Every value is checked when it is set.</summary>
public sealed class RequestProtocolOptions
{
    /// <summary>
    /// Outbound: the time a request has from the call to its response, queueing, dialing, negotiation and retries included. Inbound:
    /// the time from the stream's opening until the response has been sent. Default: 10 s, as rust-libp2p.
    /// </summary>
    public TimeSpan Timeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Requests at work at the same time on one connection, in each direction of their own; further ones wait for their turn.
    /// Default: 100, as rust-libp2p.
    /// </summary>
    public int MaxConcurrentStreams { get; init => field = Positive(value); } = 100;

    /// <summary>The longest request, in bytes, sent or received. Default: 1 MiB, as rust-libp2p.</summary>
    public int MaxRequestSize { get; init => field = Positive(value); } = 1 << 20;

    /// <summary>The longest response, in bytes, sent or received. Default: 10 MiB, as rust-libp2p.</summary>
    public int MaxResponseSize { get; init => field = Positive(value); } = 10 << 20;

    /// <summary>Which side this node takes. Default: both.</summary>
    public RequestDirection Direction
    {
        get;
        init => field = value is RequestDirection.Inbound or RequestDirection.Outbound or RequestDirection.Both
            ? value
            : throw new ArgumentOutOfRangeException(nameof(value), value, "inbound, outbound or both");
    } = RequestDirection.Both;

    /// <summary>Requests that may be queued for one peer: not yet on a connection, or waiting to be tried again. Default: 16,384.</summary>
    public int MaxQueuedRequests { get; init => field = Positive(value); } = 16_384;

    /// <summary>
    /// Bytes of the requests that may be queued for one peer. One request is always let into an empty queue. Default: 64 MiB.
    /// </summary>
    public long MaxQueuedBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 64L << 20;

    /// <summary>What becomes of a request that finds its peer's queue full. Default: it waits.</summary>
    public QueueFullMode WhenFull { get; init; } = QueueFullMode.Wait;

    private static TimeSpan Positive(TimeSpan value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(value, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromDays(1));
        return value;
    }

    private static int Positive(int value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
        return value;
    }
}
