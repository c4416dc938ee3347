using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport;

/// <summary>What a connection has moved and where its time went, from its start on. A snapshot; docs/telemetry.md, "Stages".</summary>
/// <remarks>Times of work are of pieces of 16 KiB and more; streams that wait at the same time add up.</remarks>
public sealed record ConnectionStatistics
{
    internal ConnectionStatistics(ConnectionCounters counters, ISocketTuning? socket)
    {
        BytesSent = counters.Bytes(ConnectionStage.Send);
        BytesReceived = counters.Bytes(ConnectionStage.Receive);
        Sealing = counters.Time(ConnectionStage.Seal);
        Sending = counters.Time(ConnectionStage.Send);
        Receiving = counters.Time(ConnectionStage.Receive);
        Opening = counters.Time(ConnectionStage.Open);
        WaitingForPath = counters.Time(ConnectionStage.SendWait);
        WaitingForWindow = counters.Time(ConnectionStage.WindowWait);
        WaitingForBytes = counters.Time(ConnectionStage.ReceiveWait);
        if (socket?.Measure() is { } path)
        {
            Kernel = new KernelStatistics(
                socket.CongestionControl, path.RoundTrip, path.Busy, path.SendBufferLimited, path.ReceiveWindowLimited, path.SegmentsSent,
                path.SegmentsRepeated);
        }
    }

    /// <summary>Bytes on the wire, handed to the operating system.</summary>
    public long BytesSent { get; }

    /// <summary>Bytes on the wire, taken from the operating system.</summary>
    public long BytesReceived { get; }

    /// <summary>Encrypting.</summary>
    public TimeSpan Sealing { get; }

    /// <summary>Calls that hand bytes to the operating system.</summary>
    public TimeSpan Sending { get; }

    /// <summary>Calls that take bytes from the operating system.</summary>
    public TimeSpan Receiving { get; }

    /// <summary>Decrypting.</summary>
    public TimeSpan Opening { get; }

    /// <summary>The operating system had no room for more: the path, or its congestion window, is slower.</summary>
    public TimeSpan WaitingForPath { get; }

    /// <summary>Streams had bytes and no credit: the remote application is slower, or the stream's window too small.</summary>
    public TimeSpan WaitingForWindow { get; }

    /// <summary>Nothing had arrived.</summary>
    public TimeSpan WaitingForBytes { get; }

    /// <summary>What the kernel tells; null where it does not.</summary>
    public KernelStatistics? Kernel { get; }
}

/// <summary>What the kernel knows of a TCP connection's path. Times and counts add up from the connection's start (RFC 4898).</summary>
/// <param name="CongestionControl">The congestion control in use, such as <c>cubic</c>; null where it cannot be told.</param>
/// <param name="RoundTrip">Smoothed round-trip time.</param>
/// <param name="Busy">Time in which unacknowledged or unsent data was there.</param>
/// <param name="SendBufferLimited">The part of it in which the send buffer held the flow back.</param>
/// <param name="ReceiveWindowLimited">The part of it in which the receiver's TCP window did.</param>
/// <param name="SegmentsSent">Segments with data, repeated ones included.</param>
/// <param name="SegmentsRepeated">Segments sent again.</param>
public sealed record KernelStatistics(
    string? CongestionControl, TimeSpan RoundTrip, TimeSpan Busy, TimeSpan SendBufferLimited, TimeSpan ReceiveWindowLimited,
    long SegmentsSent, long SegmentsRepeated);
