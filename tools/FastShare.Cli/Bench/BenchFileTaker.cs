using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Bench;

/// <summary>
/// The other side of <see cref="BenchFile"/>: takes one such file at a time into a folder of its own and removes it once it is complete, or
/// failed. Takes nothing else.
/// </summary>
/// <param name="folder">Where that folder is made.</param>
internal sealed class BenchFileTaker(string folder)
{
    /// <summary>
    /// Of the node that asks: one entry, so a file and no more. Folders would come with modes of their own, and what stands in one that nobody
    /// may enter could not be removed.
    /// </summary>
    public static readonly IncomingLimits Limits = new() { Entries = 1 };

    private readonly Lock _gate = new();
    private readonly string _place = Path.Combine(folder, BenchFile.NamePrefix + Guid.NewGuid().ToString("N")[..8]);
    private TransferOffer? _taken; // under _gate: the one offer, by its reference

    /// <summary>The node's <see cref="ConsentPolicy"/>. Thread-safe.</summary>
    public ValueTask<OfferAnswer> DecideAsync(TransferOffer offer, CancellationToken cancellationToken)
    {
        bool isBench = offer is { IsComplete: true, IsOpenEnded: false, Files: 1, RootNames: [var name] }
            && name.StartsWith(BenchFile.NamePrefix, StringComparison.Ordinal);
        if (!isBench) return ValueTask.FromResult(OfferAnswer.Refuse("only 'fastshare bench' may send files here"));
        long room = new DriveInfo(folder).AvailableFreeSpace / 2;
        if (offer.Bytes > room)
            return ValueTask.FromResult(OfferAnswer.Refuse($"at most {ByteSize.Format(room)}, half of what is free here; choose a smaller --size"));
        lock (_gate)
        {
            if (_taken is not null) return ValueTask.FromResult(OfferAnswer.Refuse("a benchmark is under way here"));
            _taken = offer;
        }

        return ValueTask.FromResult(OfferAnswer.Accept(_place, quota: room));
    }

    /// <summary>Follows what comes until the token, and clears up after each.</summary>
    public async Task FollowAsync(NodeSession session, CommandContext context)
    {
        var following = new List<Task>();
        try
        {
            await foreach (Transfer.Transfer transfer in session.Node.IncomingAsync(context.Stop))
            {
                following.RemoveAll(earlier => earlier.IsCompletedSuccessfully);
                following.Add(FollowOneAsync(transfer, session, context));
            }
        }
        finally
        {
            await Task.WhenAll(following);
            RemoveFiles(context.Output);
        }
    }

    private async Task FollowOneAsync(Transfer.Transfer transfer, NodeSession session, CommandContext context)
    {
        try
        {
            await TransferReporter.FollowAsync(transfer, $"From {transfer.Peer.ToShortString()}", session, context);
        }
        catch (TransferException e)
        {
            // who was refused was told why
            if (e.Error != TransferError.Refused && !context.Stop.IsCancellationRequested) CommandLine.Report(e, context.Output);
        }
        finally
        {
            End(transfer, context.Output);
        }
    }

    // However it ended, and whatever else its sender has begun.
    private void End(Transfer.Transfer transfer, OutputWriter output)
    {
        lock (_gate)
        {
            if (_taken is null || !ReferenceEquals(_taken, transfer.Offer)) return;
        }

        RemoveFiles(output);
        lock (_gate) _taken = null;
    }

    private void RemoveFiles(OutputWriter output)
    {
        try
        {
            if (Directory.Exists(_place)) Directory.Delete(_place, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            output.Warn($"'{PeerText.Escape(_place)}' could not be removed: {EventText.Escape(e.Message)}");
        }
    }
}
