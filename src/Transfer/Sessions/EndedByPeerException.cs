namespace FastShare.Transfer.Sessions;

/// <summary>The other side ended the transfer and need not be told so: carries what the caller is told.</summary>
internal sealed class EndedByPeerException(TransferException reason) : Exception(reason.Message, reason)
{
    public TransferException Reason { get; } = reason;
}
