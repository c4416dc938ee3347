using System.IO.Pipelines;
using FastShare.Transfer.Storage;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>Where the bytes of one streamed entry go, in order. Used by one loop; disposed at the end, however it came.</summary>
internal abstract class EntrySink : IAsyncDisposable
{
    /// <summary>Delivers what follows. The memory is the caller's again when it completes.</summary>
    public abstract ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>Everything was delivered, and it is right.</summary>
    public abstract ValueTask CompleteAsync(CancellationToken cancellationToken);

    /// <summary>Unless it was completed, says that no more will come.</summary>
    public abstract ValueTask AbortAsync(TransferException why);

    public abstract ValueTask DisposeAsync();

    /// <summary>A file in a folder: shows only when it is complete.</summary>
    public sealed class ToFolder(ReceiveStream file) : EntrySink
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            file.Write(bytes.Span);
            return default;
        }

        public override ValueTask CompleteAsync(CancellationToken cancellationToken)
        {
            file.Publish();
            return default;
        }

        public override ValueTask AbortAsync(TransferException why) => default;

        public override ValueTask DisposeAsync()
        {
            file.Dispose();
            return default;
        }
    }

    /// <summary>A pipe or stream of the application's.</summary>
    /// <param name="path">The entry's, for messages.</param>
    /// <param name="sink">The application's.</param>
    public sealed class ToApplication(string path, TransferSink sink) : EntrySink
    {
        private bool _ended;

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            try
            {
                if (sink.Stream is { } stream)
                {
                    await stream.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
                    return;
                }

                FlushResult result = await sink.Pipe!.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
                if (result.IsCompleted) throw new IOException("its reader has ended");
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
            {
                throw Failed(e);
            }
        }

        public override async ValueTask CompleteAsync(CancellationToken cancellationToken)
        {
            try
            {
                if (sink.Stream is { } stream) await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
                else await sink.Pipe!.CompleteAsync().ConfigureAwait(false);
                _ended = true;
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
            {
                throw Failed(e);
            }
        }

        public override async ValueTask AbortAsync(TransferException why)
        {
            if (_ended || sink.Pipe is not { } pipe) return;
            _ended = true;
            await pipe.CompleteAsync(why).ConfigureAwait(false);
        }

        public override async ValueTask DisposeAsync()
        {
            if (sink.Stream is { } stream && !sink.LeaveOpen) await stream.DisposeAsync().ConfigureAwait(false);
        }

        private TransferException Failed(Exception e) => new(
            TransferError.StorageFault, $"what receives {PeerText.Escape(path)} failed: {e.Message}", e)
        { Path = path };
    }
}
