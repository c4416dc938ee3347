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
    private readonly Lock _gate = new();
    private readonly string _place = Path.Combine(folder, BenchFile.NamePrefix + Guid.NewGuid().ToString("N")[..8]);
    private PeerId? _busyWith; // under _gate

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
            if (_busyWith is not null) return ValueTask.FromResult(OfferAnswer.Refuse("a benchmark is under way here"));
            _busyWith = offer.Peer;
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
        catch (TransferException e) when (e.Error == TransferError.Refused)
        {
            return; // it was told why; what is under way goes on
        }
        catch (TransferException e)
        {
            if (!context.Stop.IsCancellationRequested) CommandLine.Report(e, context.Output);
        }

        lock (_gate)
        {
            if (_busyWith != transfer.Peer) return; // never got so far as to be taken
        }

        RemoveFiles(context.Output);
        lock (_gate) _busyWith = null;
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
