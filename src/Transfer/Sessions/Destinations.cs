using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The folders a node receives into. Opens them for transfers, and clears away what transfers left there and nobody went on with: once for
/// each folder in the life of a node, when the first transfer into it is accepted. Thread-safe.
/// </summary>
/// <param name="storage">The file system; null: this machine's.</param>
/// <param name="time">The clock.</param>
internal sealed class Destinations(IStorageSystem? storage, TimeProvider time)
{
    /// <summary>Nothing in a staging folder may have changed for this long before it counts as abandoned.</summary>
    public static readonly TimeSpan AbandonedAfter = TimeSpan.FromDays(7);

    private readonly HashSet<string> _collected = new(StringComparer.Ordinal); // guarded by itself

    /// <summary>Opens a transfer's storage. Blocks.</summary>
    /// <exception cref="TransferException">No room, quota, access, or the transfer is being received by another process.</exception>
    public ReceiveStore Open(OfferAnswer answer, TransferId id, StageMeter stages, Action<PublishOutcome> published)
    {
        var options = new ReceiveStoreOptions
        {
            Replace = answer.Replace,
            Quota = answer.Quota,
            Published = published,
            Stages = stages,
            // The manifest has none that leads out of the destination, and nothing is ever written by way of one.
            AllowSymlinks = true,
            TimeProvider = time,
            Storage = storage ?? ReceiveStoreOptions.MachineStorage,
        };
        ReceiveStore store = ReceiveStore.Open(answer.Folder!, id, options);
        // After opening: the lock on this transfer's own staging keeps it from being taken for abandoned.
        Collect(answer.Folder!, options);
        return store;
    }

    private void Collect(string folder, ReceiveStoreOptions options)
    {
        lock (_collected)
        {
            if (!_collected.Add(Path.GetFullPath(folder))) return;
        }

        try
        {
            ReceiveStore.CollectAbandoned(folder, AbandonedAfter, options);
        }
        catch (TransferException)
        {
            // Leftovers that cannot be looked at or removed are no reason not to receive.
        }
    }
}
