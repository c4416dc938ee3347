using FastShare.Transfer;
using FastShare.Transport;

namespace FastShare.Cli.Hosting;

/// <summary>What the process ends with: scripts rely on these numbers. The one place that maps errors to them.</summary>
internal static class ExitCodes
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int PeerNotReachable = 3;
    public const int Refused = 4;
    public const int VerificationFailed = 5;
    public const int LocalStorage = 6;

    /// <summary>Stopped by the user; what was received so far is kept (128 + SIGINT, as shells report it).</summary>
    public const int Interrupted = 130;

    /// <summary>The code for an error that ended a command.</summary>
    public static int For(Exception error) => error switch
    {
        UsageException => Usage,
        TransferException transfer => For(transfer.Error),
        TransportException transport => For(transport.Error),
        OperationCanceledException => Interrupted,
        UnauthorizedAccessException or IOException => LocalStorage,
        _ => Failed,
    };

    /// <summary>
    /// The code of a transfer that ended with single files failed: their common code, or <see cref="Failed"/> where they differ.
    /// </summary>
    public static int For(IReadOnlyList<TransferException> failures)
    {
        if (failures.Count == 0) return Done;
        int first = For(failures[0]);
        return failures.All(failure => For(failure) == first) ? first : Failed;
    }

    /// <summary>
    /// As <see cref="For(IReadOnlyList{TransferException})"/>, for a sender: a source that could not be sent is no fault of a destination,
    /// whatever the system said of it. What the receiver rejected bears its name.
    /// </summary>
    public static int ForSent(IReadOnlyList<TransferException> failures) =>
        failures.Any(failure => failure.Peer is null) ? Failed : For(failures);

    public static int For(TransferError error) => error switch
    {
        // a connection that cannot be restored is a peer that cannot be reached
        // nor was the peer found whom the name stands for
        TransferError.PeerNotReachable or TransferError.ConnectionLost or TransferError.IdentityChanged => PeerNotReachable,
        TransferError.Refused => Refused,
        TransferError.VerificationFailed => VerificationFailed,
        TransferError.Cancelled => Interrupted,
        TransferError.UnsafeName or TransferError.StorageFull or TransferError.AccessDenied or TransferError.DestinationExists
            or TransferError.StorageFault or TransferError.SourceNotFound => LocalStorage,
        // CancelledByPeer, ProtocolViolation, AlreadyReceiving, SourceChanged, NotRepeatable
        _ => Failed,
    };

    public static int For(TransportError error) => error switch
    {
        TransportError.NoAddresses or TransportError.DialFailure or TransportError.ConnectionRefused or TransportError.Unreachable
            or TransportError.Timeout or TransportError.ConnectionReset or TransportError.ConnectionClosed
            or TransportError.HandshakeFailed or TransportError.PeerIdMismatch => PeerNotReachable,
        TransportError.InvalidAddress => Usage,
        _ => Failed,
    };

    /// <summary>The <c>kind</c> of an <c>error</c> event: the library's error in camelCase.</summary>
    public static string KindOf(Exception error) => error switch
    {
        UsageException => "usage",
        TransferException transfer => KindOf(transfer.Error),
        TransportException transport => CamelCase(transport.Error.ToString()),
        OperationCanceledException => KindOf(TransferError.Cancelled),
        UnauthorizedAccessException => KindOf(TransferError.AccessDenied),
        IOException => KindOf(TransferError.StorageFault),
        _ => KindOf(TransferError.Unknown),
    };

    /// <summary>The <c>kind</c> of a transfer's error.</summary>
    public static string KindOf(TransferError error) => CamelCase(error.ToString());

    private static string CamelCase(string name) => string.Concat(char.ToLowerInvariant(name[0]).ToString(), name.AsSpan(1));
}
