using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

/// <summary>How publishing one file ended.</summary>
/// <param name="Entry">The file.</param>
/// <param name="Error">Null: it stands under its final name. Otherwise why not; its staged data is kept.</param>
internal readonly record struct PublishOutcome(ManifestEntry Entry, TransferException? Error);

/// <summary>Settings of a <see cref="ReceiveStore"/>.</summary>
internal sealed class ReceiveStoreOptions
{
    private readonly long _checkpointBytes = 64 << 20;

    /// <summary>Whether an existing file of the same name is replaced, atomically. Default: no; that file fails.</summary>
    public bool Replace { get; init; }

    /// <summary>Whether symbolic links are created. Default: no; they are passed over.</summary>
    public bool AllowSymlinks { get; init; }

    /// <summary>Largest sum of sizes taken, in bytes. Default: no limit.</summary>
    public long Quota { get; init; } = long.MaxValue;

    /// <summary>
    /// Bytes known to be coming when the store is opened: checked against the quota and free space before anything is created.
    /// What is learnt later goes through <see cref="ReceiveStore.Expect"/>. Default: 0.
    /// </summary>
    public long ExpectedBytes { get; init; }

    /// <summary>
    /// Told once for every file that <see cref="ReceiveFile.Publish"/> was called on, when it really stands under its final name with
    /// durable content, or when it failed. Called on the thread inside Publish, PublishPending, Finish or DisposeAsync, or on the
    /// store's own checkpoint loop; may be called from several threads at once. It must not throw, and not wait for a thread that is
    /// in one of those calls: batches are published one at a time.
    /// </summary>
    public Action<PublishOutcome>? Published { get; init; }

    /// <summary>
    /// Most bytes written since the last durable journal slot, what a crash can cost: a checkpoint starts at half of it, and a writer
    /// that reaches it waits for one. Default: 64 MiB, which even a slow disk writes in a second; at least 1.
    /// </summary>
    public long CheckpointBytes
    {
        get => _checkpointBytes;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            _checkpointBytes = value;
        }
    }

    /// <summary>Longest time between checkpoints while something changes. Default: 2 s.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Files of at least this many bytes are synced and published by themselves, smaller ones in batches. Default: 1 MiB.
    /// </summary>
    public long OwnSyncBytes { get; init; } = 1 << 20;

    /// <summary>Most small files in a batch. Default: 256: a crash before the batch is published costs at most these.</summary>
    public int BatchFiles { get; init; } = 256;

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Counts the time that syncs and publication take. Default: one that nobody reads.</summary>
    public StageMeter Stages { get; init; } = new(TimeProvider.System);

    /// <summary>The file system. Default: this machine's.</summary>
    public IStorageSystem Storage { get; init; } = MachineStorage;

    /// <summary>This machine's file system.</summary>
    public static IStorageSystem MachineStorage { get; } = LinuxCalls.IsSupported ? new LinuxStorage() : new PortableStorage();
}
