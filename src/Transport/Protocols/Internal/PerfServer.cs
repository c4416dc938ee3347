using System.Buffers.Binary;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>Serves the perf protocol: reads to the end, then sends what was asked for.</summary>
internal static class PerfServer
{
    public static async Task ServeAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        byte[] header = new byte[PerfClient.HeaderSize];
        if (!await StreamEnd.ReadExactlyAsync(
            stream.Input, header, "the header of a perf run", cancellationToken).ConfigureAwait(false)) return;
        await StreamEnd.DrainAsync(stream.Input, long.MaxValue, cancellationToken).ConfigureAwait(false);
        ulong left = BinaryPrimitives.ReadUInt64BigEndian(header);
        while (left > 0)
        {
            int count = (int)Math.Min(left, PerfClient.BlockSize);
            await stream.Output.WriteAsync(PerfClient.Zeros[..count], cancellationToken).ConfigureAwait(false);
            left -= (ulong)count;
        }

        await stream.Output.CompleteAsync().ConfigureAwait(false);
    }
}
