using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage;

/// <summary>How publishing one file ended.</summary>
/// <param name="Entry">The file.</param>
/// <param name="Error">Null: it stands under its final name. Otherwise why not; its staged data is kept.</param>
internal readonly record struct PublishOutcome(ManifestEntry Entry, TransferException? Error);

/// <summary>Settings of a <see cref="ReceiveStore"/>.</summary>
internal sealed class ReceiveStoreOptions
{
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
    /// durable content, or when it failed. Called on the thread inside Publish, PublishPending, Finish or the store's own
    /// checkpoint loop, without locks held; may be called from several threads at once; must not throw.
    /// </summary>
    public Action<PublishOutcome>? Published { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
