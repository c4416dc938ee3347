using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>One failed attempt to reach an address of a peer.</summary>
/// <param name="Address">The address that was tried.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Message">The cause in words.</param>
public sealed record DialAttempt(Multiaddr Address, TransportError Error, string Message);

/// <summary>
/// The one exception type of FastShare.Transport. <see cref="Error"/> says what a caller can act on. Failed requests add their own
/// details: <see cref="Requests.RequestException"/>.
/// </summary>
public class TransportException : IOException
{
    /// <summary>Creates the exception.</summary>
    public TransportException(TransportError error, string message, Exception? innerException = null)
        : base(message, innerException) => Error = error;

    /// <summary>The kind of failure.</summary>
    public TransportError Error { get; }

    /// <summary>The remote peer concerned, where it is known.</summary>
    public PeerId? Peer { get; init; }

    /// <summary>For <see cref="TransportError.DialFailure"/>: each address that was tried, with its own cause.</summary>
    public IReadOnlyList<DialAttempt> Attempts { get; init; } = [];

    /// <summary>
    /// Whether no handler of the remote side can have seen anything of the stream that failed: it was not opened, or the remote side
    /// closed the connection in good order without having answered it. Trying again on another connection then is safe, whatever
    /// the stream was for.
    /// </summary>
    public bool NotTaken { get; init; }
}
