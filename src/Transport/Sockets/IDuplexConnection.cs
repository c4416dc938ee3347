using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets;

/// <summary>
/// An established, ordered, reliable byte connection in both directions: what a transport such as TCP provides.
/// </summary>
/// <remarks>
/// Calls: at most one <see cref="ReceiveAsync"/> and at most one <see cref="SendAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
/// (or its gathering form) run at a time; the two directions are independent. <see cref="Abort"/> may be called at any time by
/// anyone and ends pending calls with a <see cref="TransportException"/>. A cancelled send leaves the connection unusable.
/// Every failure is a <see cref="TransportException"/> or, when the caller's token fired, an
/// <see cref="OperationCanceledException"/>.
/// </remarks>
public interface IDuplexConnection : IAsyncDisposable
{
    /// <summary>The local address, without peer id.</summary>
    Multiaddr LocalAddress { get; }

    /// <summary>The remote address, without peer id.</summary>
    Multiaddr RemoteAddress { get; }

    /// <summary>Receives at least one byte into <paramref name="buffer"/> and returns how many; 0 once the remote side has finished writing.</summary>
    ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Sends all of <paramref name="data"/>; completes when the memory may be reused.</summary>
    ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken);

    /// <summary>Sends all segments in order, gathered into as few system calls as possible; completes when the memory may be reused.</summary>
    ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken);

    /// <summary>Ends the sending direction (TCP FIN). No send may follow.</summary>
    void CloseWrite();

    /// <summary>Ends both directions at once without waiting for unsent data. Idempotent, thread-safe, never throws.</summary>
    void Abort();
}
