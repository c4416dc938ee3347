using System.Buffers;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Verification;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Takes files from the plan, reads their chunks into pooled blocks, digests them while they are in the cache, and queues them
/// for the lanes. Several may run on one queue; each has its file to itself. A stage object is used by one loop.
/// </summary>
internal sealed partial class ReadStage(
    SendState state,
    PlanQueue plan,
    ChannelWriter<ChunkWork> chunks,
    ObjectPool<ChunkWork> works,
    ControlWriter control,
    BlockPool blocks,
    MemoryBudget budget,
    StageMeter.Clock clock,
    TimeProvider time)
{
    /// <summary>Small files that follow one another go to the lanes, and over the wire, in one piece of this size: a block of the pool.</summary>
    private const int BundleBytes = 64 << 10;

    /// <summary>Bytes of the largest file that is bundled: what a frame costs beside its bytes matters below this.</summary>
    private const int MostBundled = 16 << 10;

    /// <summary>The first file of a bundle does not wait longer for the last one to be read.</summary>
    private static readonly TimeSpan BundleTime = TimeSpan.FromMilliseconds(20);

    /// <summary>Smaller chunks are hashed in some 5 µs: not worth reading the clock twice.</summary>
    private const int TimedHash = 64 << 10;

    private readonly Digester _digester = new();
    private readonly SourceFolder _folder = new();
    private ChunkWork? _bundle; // the one being filled; has a chunk, unless it was just begun
    private long _bundleBegun;

    /// <summary>Runs until the plan is complete, or until <paramref name="goOn"/> says no, between two files.</summary>
    /// <param name="goOn">Asked after each file.</param>
    /// <param name="fileDone">Told after each file.</param>
    /// <param name="cancellationToken">Ends the stage within one chunk.</param>
    public async Task RunAsync(Func<bool> goOn, Action fileDone, CancellationToken cancellationToken)
    {
        try
        {
            await RunFilesAsync(goOn, fileDone, cancellationToken).ConfigureAwait(false);
            await QueueBundleAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            if (_bundle is not null) works.Return(_bundle);
            _bundle = null;
            _folder.Dispose();
        }
    }

    private async Task RunFilesAsync(Func<bool> goOn, Action fileDone, CancellationToken cancellationToken)
    {
        clock.Enter(TransferStage.WaitingForPlan);
        while (goOn())
        {
            ValueTask<FileTask?> next = plan.NextAsync(cancellationToken);
            // nobody knows how long it takes until the receiver plans on
            if (!next.IsCompleted) await QueueBundleAsync(cancellationToken).ConfigureAwait(false);
            if (await next.ConfigureAwait(false) is not { } task) return;
            clock.Enter(TransferStage.Reading);
            SourceEntry source = state.Manifest[task.Id];
            if (source.Entry.Kind == EntryKind.Stream || source.Entry.Size > MostBundled)
                await QueueBundleAsync(cancellationToken).ConfigureAwait(false); // this may take long
            if (source.Entry.Kind == EntryKind.Stream || task.StreamFrom is not null)
            {
                // Not caught: a stream that fails is the transfer's failure.
                if (!state.HasFailed(task.Id)) await SendStreamAsync(source, task.StreamFrom ?? 0, cancellationToken).ConfigureAwait(false);
            }
            else if (source.Entry.Kind == EntryKind.File && !state.HasFailed(task.Id))
            {
                try
                {
                    if (task.IsCompare) await DigestFileAsync(source, cancellationToken).ConfigureAwait(false);
                    else await SendFileAsync(source, task, cancellationToken).ConfigureAwait(false);
                }
                catch (TransferException e) when (e.Error is TransferError.SourceChanged or TransferError.SourceNotFound
                    or TransferError.AccessDenied or TransferError.StorageFault)
                {
                    Fail(source.Entry, e);
                }
            }
            else if (source.Entry.Kind == EntryKind.File)
            {
                // It failed on an earlier connection; this receiver has to be told again.
                control.Post(MessageType.FileFailed, new FileFailure(task.Id, WireCode.SourceChanged, "the file could not be sent"));
            }

            clock.Enter(TransferStage.WaitingForPlan);
            plan.Done();
            fileDone();
        }
    }

    /// <summary>Whatever the cause, the file is not what was listed, or not to be had: that is what both sides tell.</summary>
    private void Fail(ManifestEntry entry, TransferException failure)
    {
        TransferException told = failure.Error == TransferError.SourceChanged && failure.Path is not null ? failure
            : new TransferException(TransferError.SourceChanged, failure.Message, failure) { Path = entry.Path };
        if (!state.SettleFailed(entry, told)) return;
        // Where it stood, and what the system said of it, is not the receiver's business.
        control.Post(
            MessageType.FileFailed,
            new FileFailure(entry.Id, WireCode.SourceChanged, "it changed, vanished or became unreadable while it was being sent"));
    }

    private async Task SendFileAsync(SourceEntry source, FileTask task, CancellationToken cancellationToken)
    {
        OutgoingFile file = state.Begin(source.Entry);
        using SourceFile content = SourceFile.Open(source, isReadAtOnce: file.Chunks == 1, _folder);
        if (task.Ranges is { } ranges)
        {
            foreach (ChunkRange range in ranges)
            {
                for (long index = range.First; index < range.First + range.Count; index++)
                    await SendChunkAsync(content, file, index, task.IsRepair, cancellationToken).ConfigureAwait(false);
            }
        }
        else
        {
            for (long index = 0; index < file.Chunks; index++)
                await SendChunkAsync(content, file, index, isRepair: false, cancellationToken).ConfigureAwait(false);
        }

        if (file.Chunks == 1 || task.IsRepair) return;
        await DigestTheRestAsync(content, file, cancellationToken).ConfigureAwait(false);
        ThrowIfChanged(content, file.Entry);
        EndFile(file);
    }

    /// <summary>Stays with a stream until the receiver has taken all of it: what is lost on the way is sent again from here.</summary>
    private async Task SendStreamAsync(SourceEntry source, long from, CancellationToken cancellationToken)
    {
        OutgoingStream stream = state.BeginStream(source, from);
        stream.Begin(from);
        while (true)
        {
            clock.Enter(TransferStage.Reading);
            (StreamStep step, long index, HeldChunk? chunk) = await stream.NextAsync(cancellationToken).ConfigureAwait(false);
            if (step == StreamStep.Over) return;
            if (step == StreamStep.End)
            {
                (long size, UInt128 root) = stream.End!.Value;
                control.Post(MessageType.StreamEnd, new StreamEnd(source.Entry.Id, size, root));
                continue;
            }

            ChunkWork work = works.Get();
            work.Set(chunk!.Header(source.Entry.Id, index * stream.ChunkSize), index, chunk, budget, charged: 0);
            await QueueAsync(work, cancellationToken).ConfigureAwait(false);
        }
    }

    private void EndFile(OutgoingFile file)
    {
        file.Ended = true;
        control.Post(MessageType.FileEnd, new FileEnd(file.Entry.Id, file.Chunks, file.Root(_digester)));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendChunkAsync(
        SourceFile content, OutgoingFile file, long index, bool isRepair, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        int length = ChunkSize.LengthOf(index, file.Entry.Size, file.ChunkSize);
        bool whole = file.Chunks == 1, isHole = content.IsHole(index * file.ChunkSize, length);
        if (whole && !isHole && !isRepair && length <= MostBundled)
        {
            await BundleAsync(content, file, length, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (isHole)
        {
            if (whole) ThrowIfChanged(content, file.Entry);
            await QueueAsync(file, index, length, _digester.OfZeros(length), ChunkFlags.Hole, null, 0, isRepair, cancellationToken)
                .ConfigureAwait(false);
            return;
        }

        int charged = BlockLength(length);
        clock.Enter(TransferStage.WaitingForStreams);
        await budget.TakeAsync(charged, cancellationToken).ConfigureAwait(false);
        clock.Enter(TransferStage.Reading);
        IMemoryOwner<byte> block = blocks.Rent(length);
        try
        {
            Read(content, file.Entry, index * file.ChunkSize, block.Memory.Span[..length]);
            // A file of one chunk has no end message by which a change could still be told.
            if (whole) ThrowIfChanged(content, file.Entry);
        }
        catch
        {
            block.Dispose();
            budget.Release(charged);
            throw;
        }

        UInt128 digest = Hash(block.Memory.Span[..length]);
        await QueueAsync(file, index, length, digest, ChunkFlags.None, block, charged, isRepair, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads a file's only chunk into the bundle, which is queued when it is full, or old.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask BundleAsync(SourceFile content, OutgoingFile file, int length, CancellationToken cancellationToken)
    {
        if (_bundle is not null && _bundle.Room.Length < ChunkHeader.Size + length)
            await QueueBundleAsync(cancellationToken).ConfigureAwait(false);
        if (_bundle is null)
        {
            clock.Enter(TransferStage.WaitingForStreams);
            await budget.TakeAsync(BundleBytes, cancellationToken).ConfigureAwait(false);
            clock.Enter(TransferStage.Reading);
            _bundle = works.Get();
            _bundle.Begin(blocks.Rent(BundleBytes), budget, BundleBytes);
            _bundleBegun = time.GetTimestamp();
        }

        Span<byte> payload = _bundle.Room.Span.Slice(ChunkHeader.Size, length);
        Read(content, file.Entry, 0, payload);
        ThrowIfChanged(content, file.Entry);
        UInt128 digest = Hash(payload);
        if (file.Knows(0)) state.Transfer.Meter.AddResent(length);
        file.Learn(0, digest);
        _bundle.Append(new ChunkHeader(file.Entry.Id, ChunkFlags.WholeFile, 0, length, digest));
        if (time.GetElapsedTime(_bundleBegun) >= BundleTime) await QueueBundleAsync(cancellationToken).ConfigureAwait(false);
    }

    private ValueTask QueueBundleAsync(CancellationToken cancellationToken)
    {
        if (_bundle is not { Bundled.Count: > 0 } full) return default;
        _bundle = null;
        return QueueAsync(full, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask QueueAsync(
        OutgoingFile file, long index, int length, UInt128 digest, ChunkFlags flags, IMemoryOwner<byte>? block, int charged, bool isRepair,
        CancellationToken cancellationToken)
    {
        if (file.Chunks == 1) flags |= ChunkFlags.WholeFile;
        // of a hole nothing but its header is sent, however often
        if (file.Knows(index) && (flags & ChunkFlags.Hole) == 0) state.Transfer.Meter.AddResent(length);
        bool changed = file.Learn(index, digest);
        ChunkWork work = works.Get();
        work.Set(
            new ChunkHeader(file.Entry.Id, flags, index * file.ChunkSize, length, digest),
            index, block, budget, charged);
        await QueueAsync(work, cancellationToken).ConfigureAwait(false);
        if (isRepair && changed && file.Ended) EndFile(file);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask QueueAsync(ChunkWork work, CancellationToken cancellationToken)
    {
        clock.Enter(TransferStage.WaitingForStreams);
        try
        {
            await chunks.WriteAsync(work, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            works.Return(work);
            throw;
        }

        clock.Enter(TransferStage.Reading);
    }

    /// <summary>
    /// Digests what the receiver has from an earlier run, so that the root digest covers the whole file: a receiver that kept
    /// chunks of another content of the same size and time is found out.
    /// </summary>
    private async ValueTask DigestTheRestAsync(SourceFile content, OutgoingFile file, CancellationToken cancellationToken)
    {
        IMemoryOwner<byte>? block = null;
        try
        {
            for (long index = 0; index < file.Chunks; index++)
            {
                if (file.Knows(index)) continue;
                cancellationToken.ThrowIfCancellationRequested();
                block ??= blocks.Rent((int)file.ChunkSize);
                int length = ChunkSize.LengthOf(index, file.Entry.Size, file.ChunkSize);
                Read(content, file.Entry, index * file.ChunkSize, block.Memory.Span[..length]);
                file.Learn(index, Hash(block.Memory.Span[..length]));
                // Gives the pool's other work a turn: this loop waits for nothing.
                await Task.Yield();
            }
        }
        finally
        {
            block?.Dispose();
        }
    }

    private UInt128 Hash(ReadOnlySpan<byte> chunk)
    {
        clock.Count(chunk.Length);
        if (chunk.Length < TimedHash) return Digester.Of(chunk);
        clock.Enter(TransferStage.Hashing);
        clock.Count(chunk.Length);
        UInt128 digest = Digester.Of(chunk);
        clock.Enter(TransferStage.Reading);
        return digest;
    }

    private static void Read(SourceFile content, ManifestEntry entry, long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int read = content.Read(offset, destination);
            if (read == 0) throw Changed(entry);
            offset += read;
            destination = destination[read..];
        }
    }

    /// <summary>What a chunk takes of the pool, whose blocks have these sizes.</summary>
    private static int BlockLength(int length) => length switch
    {
        <= 4 << 10 => 4 << 10,
        <= 64 << 10 => 64 << 10,
        <= 256 << 10 => 256 << 10,
        _ => Math.Max(length, 1 << 20),
    };

    private static void ThrowIfChanged(SourceFile content, ManifestEntry entry)
    {
        if (content.HasChanged()) throw Changed(entry);
    }

    private static TransferException Changed(ManifestEntry entry) =>
        new(TransferError.SourceChanged, $"{PeerText.Escape(entry.Path)} changed while it was being sent; send it again")
        {
            Path = entry.Path,
        };
}
