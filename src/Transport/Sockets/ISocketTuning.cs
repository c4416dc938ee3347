namespace FastShare.Transport.Sockets;

/// <summary>
/// What a connection's kernel can be asked and told beyond moving bytes. Every step is optional: what the system does not offer
/// returns false or null and changes nothing. Thread-safe; never throws.
/// </summary>
internal interface ISocketTuning
{
    /// <summary>The congestion control in use, such as <c>cubic</c>; null where it cannot be told.</summary>
    string? CongestionControl { get; }

    /// <summary>Changes the congestion control. False: the kernel does not have it, or does not allow it.</summary>
    bool TrySetCongestionControl(string name);

    /// <summary>
    /// Limits what the kernel takes beyond what it can send at once, in bytes, so that a small write does not wait behind megabytes
    /// of bulk (TCP_NOTSENT_LOWAT).
    /// </summary>
    bool TrySetNotSentLimit(int bytes);

    /// <summary>What the kernel has measured; null where it does not tell.</summary>
    SocketPath? Measure();
}

/// <summary>What the kernel knows of a TCP connection's path. Times and counts add up from the connection's start (RFC 4898).</summary>
/// <param name="RoundTrip">Smoothed round-trip time.</param>
/// <param name="ShortestRoundTrip">The shortest of the last minutes: the path without what waits on it; null: not measured yet.</param>
/// <param name="Busy">Time in which unacknowledged or unsent data was there.</param>
/// <param name="SendBufferLimited">The part of it in which the send buffer held the flow back.</param>
/// <param name="ReceiveWindowLimited">The part of it in which the receiver's TCP window did.</param>
/// <param name="SegmentsSent">Segments with data, repeated ones included.</param>
/// <param name="SegmentsRepeated">Segments sent again.</param>
internal readonly record struct SocketPath(
    TimeSpan RoundTrip,
    TimeSpan? ShortestRoundTrip,
    TimeSpan Busy,
    TimeSpan SendBufferLimited,
    TimeSpan ReceiveWindowLimited,
    long SegmentsSent,
    long SegmentsRepeated);
