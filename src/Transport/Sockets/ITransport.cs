using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets;

/// <summary>A way to make <see cref="IDuplexConnection"/>s: TCP, or memory for tests. Thread-safe.</summary>
public interface ITransport
{
    /// <summary>Whether this transport can dial or listen on addresses of this form.</summary>
    bool Supports(Multiaddr address);

    /// <summary>Connects to <paramref name="address"/>, whose peer id, if any, is ignored here.</summary>
    /// <exception cref="TransportException">The connection could not be made; the error says why.</exception>
    ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken);

    /// <summary>Starts to listen on <paramref name="address"/>; port 0 lets the system choose.</summary>
    /// <exception cref="TransportException">The address cannot be used; the error says why.</exception>
    ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken);
}

/// <summary>A listening endpoint. Disposing it stops listening and ends a pending accept; accepted connections live on.</summary>
public interface IListener : IAsyncDisposable
{
    /// <summary>The bound address, with the real port; the wildcard address stays as it is.</summary>
    Multiaddr Address { get; }

    /// <summary>
    /// Waits for the next connection. Passing faults of the operating system (out of descriptors, a connection that was reset
    /// while it waited) are retried inside; an exception means that the listener cannot go on.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.Aborted"/> once the listener was disposed.</exception>
    ValueTask<IDuplexConnection> AcceptAsync(CancellationToken cancellationToken);
}
