using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Sessions;

/// <summary>An incoming transfer under way, and who works on it. The fields are guarded by the registry's gate.</summary>
internal sealed class LiveTransfer(IncomingTransfer incoming)
{
    public IncomingTransfer Incoming { get; } = incoming;

    /// <summary>Held by whoever works on the transfer or ends it.</summary>
    public SemaphoreSlim Turn { get; } = new(1);

    /// <summary>Counts the connections that came for it; only the newest may take the turn.</summary>
    public int Ticket { get; set; }

    /// <summary>Ends the work of the connection that has the turn; null: none has.</summary>
    public CancellationTokenSource? Worker { get; set; }

    /// <summary>The connection at hand; null between two.</summary>
    public ReceiveAttempt? Attempt { get; set; }

    public bool IsOver { get; set; }
}

/// <summary>How an incoming transfer ended, kept for a sender that lost the connection before it was told.</summary>
internal sealed record FinishedTransfer(
    TransferId Id,
    UInt128 Instance,
    uint Entries,
    Complete Complete,
    RejectedFiles Rejected,
    TransferException? Failure)
{
    public static FinishedTransfer Of(IncomingTransfer incoming, TransferException? failure) => new(
        incoming.Id, incoming.Offer.Instance, incoming.Manifest.Count,
        new Complete(incoming.Transfer.Meter.Files, incoming.Transfer.Meter.DeliveredBytes), incoming.Failures, failure);

    /// <summary>Tells the end to the sender that has come back.</summary>
    public async Task TellAgainAsync(ControlSession control)
    {
        control.Writer.Post(MessageType.Known, new Number(Entries));
        if (Failure is not null)
        {
            control.PostEnding(MessageType.Refuse, Failure);
        }
        else
        {
            // No data stream will attach, so the session id is never used.
            control.Writer.Post(MessageType.Accept, new Accept(0));
            foreach (FileFailure rejected in Rejected.All()) control.Writer.Post(MessageType.FileRejected, rejected);
            control.Writer.Post(MessageType.Complete, Complete);
        }

        await control.FinishAsync(awaitEnd: true).ConfigureAwait(false);
    }
}
