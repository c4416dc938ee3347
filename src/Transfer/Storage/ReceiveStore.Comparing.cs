using System.Buffers;
using System.IO.Hashing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage.Internal;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Storage;

/// <summary>What was read of a file under a final name, and which file it was.</summary>
/// <param name="Root">XXH128 over the digests of its chunks.</param>
/// <param name="Stat">The file before and after it was read.</param>
internal readonly record struct ExistingContent(UInt128 Root, StorageStat Stat);

// Files that stand under a final name already, and may be what is offered.
internal sealed partial class ReceiveStore
{
    /// <summary>Whether a regular file of the entry's size stands under its name.</summary>
    /// <exception cref="TransferException">The path cannot be looked at.</exception>
    public bool HasFileOfSize(ManifestEntry entry) =>
        entry.Kind == EntryKind.File && _tree.Stat(entry) is { Kind: StorageKind.File } there && there.Size == entry.Size;

    /// <summary>Whether an earlier run has begun to receive the entry.</summary>
    public bool HasStaged(ManifestEntry entry, uint chunkSize)
    {
        lock (_gate) return _staged.TryGetValue(ResumeJournal.KeyOf(entry, chunkSize), out StagedFile? staged) && staged.Map.ClaimCount > 0;
    }

    /// <summary>Reads the file under the entry's name. Blocks as long as that takes; memory is one chunk.</summary>
    /// <returns>Null: it is gone, is of another size, changes meanwhile, or cannot be read.</returns>
    public ExistingContent? ReadExisting(ManifestEntry entry, uint chunkSize, CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(entry.Size, 1, chunkSize));
        try
        {
            using IStorageFile? file = _tree.OpenToRead(entry);
            if (file is null) return null;
            StorageStat before = file.Stat();
            if (before.Size != entry.Size) return null;
            var root = new XxHash128();
            Span<byte> digest = stackalloc byte[16];
            for (long offset = 0; offset < entry.Size; offset += chunkSize)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Span<byte> chunk = buffer.AsSpan(0, (int)Math.Min(chunkSize, entry.Size - offset));
                if (file.Read(offset, chunk) < chunk.Length) return null;
                System.Buffers.Binary.BinaryPrimitives.WriteUInt128BigEndian(digest, Digester.Of(chunk));
                root.Append(digest);
            }

            return IsSame(before, file.Stat()) ? new ExistingContent(root.GetCurrentHashAsUInt128(), before) : null;
        }
        catch (TransferException)
        {
            // Unreadable, or a link: as good as another file. Whether it may be replaced is asked next.
            return null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Gives a file that <see cref="ReadExisting"/> found equal the entry's mode and time, durably.</summary>
    /// <returns>False: it is no longer the file that was read.</returns>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.AccessDenied"/>: it may not be changed; otherwise storage failed, and the store with it.
    /// </exception>
    public bool Adopt(ManifestEntry entry, in StorageStat read)
    {
        ThrowIfFaulted();
        using IStorageFile? file = _tree.OpenToRead(entry);
        if (file is null) return false;
        StorageStat now = file.Stat();
        if (!IsSame(read, now)) return false;
        bool sameMode = entry.Mode < 0 || now.Mode < 0 || (now.Mode & 0x1FF) == entry.Mode;
        if (sameMode && DestinationTree.IsEqual(now, entry)) return true;
        try
        {
            file.SetAttributes(entry.Mode, entry.ModifiedUnixNanoseconds);
            file.Sync();
            return true;
        }
        catch (TransferException e) when (e.Error != TransferError.AccessDenied)
        {
            throw SetFault(e, entry.Path);
        }
        catch (TransferException e)
        {
            throw DestinationTree.ForEntry(e, entry.Path);
        }
    }

    /// <summary>Checks that what stands under the entry's name may be replaced.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.DestinationExists"/>: it may not.</exception>
    public void CheckReplaceable(ManifestEntry entry)
    {
        if (!_options.Replace && _tree.Stat(entry) is not null) throw DestinationTree.Exists(entry.Path, null);
    }

    // Not by the room it takes, which changes when the system writes it out.
    private static bool IsSame(in StorageStat one, in StorageStat other) =>
        (one.Kind, one.Size, one.FileId, one.Device, one.ModifiedUnixNanoseconds, one.ChangedUnixNanoseconds)
        == (other.Kind, other.Size, other.FileId, other.Device, other.ModifiedUnixNanoseconds, other.ChangedUnixNanoseconds);
}
