using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Sessions;

// How a file ends: published, or failed, and told.
internal sealed partial class IncomingTransfer
{
    private void OnPublished(PublishOutcome outcome)
    {
        _begun.TryGetValue(outcome.Entry.Id, out IncomingFile? file);
        // Storage itself failed: that ends the transfer, and a later run goes on with the file.
        if (outcome.Error is { } error && !ConcernsOneFile(error))
        {
            _broken ??= error;
            _progress.Signal();
        }
        else if (outcome.Error is not null) SettleFailed(outcome.Entry, outcome.Error, discard: false, alreadyReceived: true);
        else if (FindStream(outcome.Entry.Id) is { } stream) SettleDelivered(stream);
        else SettleDone(outcome.Entry, file);
    }

    private void SettleDone(ManifestEntry entry, IncomingFile? file)
    {
        bool isLast = false;
        lock (_gate)
        {
            if (!TrySettle(entry)) return;
            if (file is null)
            {
                _received++;
                isLast = HasEverything;
            }
        }

        Transfer.Meter.AddFile(entry.Size);
        if (file is not null)
        {
            Transfer.Tell(new TransferEvent.FileCompleted(entry.Path, entry.Size, Digester.ToText(file.Root)));
            _control?.Post(MessageType.FileDone, new Number(entry.Id));
            End(file);
        }

        // Nobody waits for less: a hundred thousand files wake nobody.
        if (isLast) _progress.Signal();
    }

    /// <summary>A file fails here; the sender is told, the rest goes on.</summary>
    private void Reject(ManifestEntry entry, TransferException failure) => SettleFailed(entry, failure, discard: false);

    private void SettleFailed(ManifestEntry entry, TransferException failure, bool discard, bool alreadyReceived = false)
    {
        var named = failure.Path is null
            ? new TransferException(failure.Error, failure.Message, failure) { Peer = Transfer.Peer, Path = entry.Path } : failure;
        lock (_gate)
        {
            if (!TrySettle(entry)) return;
            if (entry.HasContent && !alreadyReceived) _received++;
            var told = new FileFailure(entry.Id, named.Error.ToWire(), named.Message);
            _failures.Add(told);
            if (!discard) _control?.Post(MessageType.FileRejected, told);
        }

        Transfer.TellFailure(named);
        if (_begun.TryGetValue(entry.Id, out IncomingFile? file))
        {
            lock (file.Gate) file.DropsStaged |= discard && !file.IsReceived;
            End(file);
        }

        _progress.Signal();
    }

    private void End(IncomingFile file)
    {
        _begun.TryRemove(file.Entry.Id, out _);
        lock (file.Gate)
        {
            file.IsOver = true;
            Close(file);
        }
    }

    /// <summary>Under the gate.</summary>
    private bool TrySettle(ManifestEntry entry)
    {
        if (!_settled.Add(entry.Id)) return false;
        if (entry.HasContent) _settledFiles++;
        return true;
    }

    /// <summary>Whether a failure of storage leaves the other files a chance.</summary>
    private static bool ConcernsOneFile(TransferException e) =>
        e.Error is TransferError.DestinationExists or TransferError.AccessDenied or TransferError.VerificationFailed;
}
