using System.Buffers;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Scheduling;

// Files that the receiver has, maybe: what is sent is their digest.
internal sealed partial class ReadStage
{
    private async Task DigestFileAsync(SourceEntry source, CancellationToken cancellationToken)
    {
        OutgoingFile file = state.Begin(source.Entry);
        using SourceFile content = SourceFile.Open(source, isReadAtOnce: false, _folder);
        IMemoryOwner<byte>? block = null;
        try
        {
            for (long index = 0; index < file.Chunks; index++)
            {
                // Known from a connection that was lost before the receiver could compare.
                if (file.Knows(index)) continue;
                await state.Transfer.Gate.PassAsync(cancellationToken).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                int length = ChunkSize.LengthOf(index, file.Entry.Size, file.ChunkSize);
                if (content.IsHole(index * file.ChunkSize, length))
                {
                    file.Learn(index, _digester.OfZeros(length));
                    continue;
                }

                block ??= blocks.Rent((int)Math.Min(file.ChunkSize, file.Entry.Size));
                Read(content, file.Entry, index * file.ChunkSize, block.Memory.Span[..length]);
                file.Learn(index, Digester.Of(block.Memory.Span[..length]));
                // Gives the pool's other work a turn: this loop waits for nothing.
                await Task.Yield();
            }
        }
        finally
        {
            block?.Dispose();
        }

        ThrowIfChanged(content, file.Entry);
        control.Post(MessageType.FileDigest, new FileDigest(file.Entry.Id, file.Root(_digester)));
    }
}
