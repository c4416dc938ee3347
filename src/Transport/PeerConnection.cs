using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>One secured, multiplexed connection to a peer. Thread-safe.</summary>
public sealed class PeerConnection
{
    internal PeerConnection()
    {
    }

    /// <summary>The authenticated remote peer (with <see cref="SecurityMode.InsecurePlaintext"/>: the claimed one).</summary>
    public PeerId Peer => throw new NotImplementedException();

    /// <summary>Whether the remote side dialed.</summary>
    public bool IsInbound => throw new NotImplementedException();

    /// <summary>The remote address.</summary>
    public Multiaddr RemoteAddress => throw new NotImplementedException();

    /// <summary>The local address.</summary>
    public Multiaddr LocalAddress => throw new NotImplementedException();

    /// <summary>The security protocol's id, such as <c>/noise</c>.</summary>
    public string Security => throw new NotImplementedException();

    /// <summary>Smoothed round-trip time; null before the first measurement.</summary>
    public TimeSpan? RoundTripTime => throw new NotImplementedException();

    /// <summary>What the peer told through identify; null until it did.</summary>
    public PeerDescription? Description => throw new NotImplementedException();

    /// <summary>Completes when the connection is over; never faults. Null: an orderly close.</summary>
    public Task<TransportException?> Closed => throw new NotImplementedException();

    /// <summary>Waits until the peer has told about itself; fails with what identify failed with.</summary>
    public Task<PeerDescription> IdentifyAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Opens a stream for one protocol.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>, <see cref="TransportError.ConnectionClosed"/>, …</exception>
    public ValueTask<PeerStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>One libp2p ping; the time from write to echo.</summary>
    public ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Says goodbye and closes.</summary>
    public ValueTask CloseAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();
}
