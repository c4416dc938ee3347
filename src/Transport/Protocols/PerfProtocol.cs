using System.Buffers.Binary;
using System.IO.Pipelines;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Protocols;

/// <summary>What a perf run measured.</summary>
/// <param name="UploadBytes">Bytes sent.</param>
/// <param name="Upload">From opening the stream until the peer had read everything and answered.</param>
/// <param name="DownloadBytes">Bytes received.</param>
/// <param name="Download">From the first sign of the answer to its end.</param>
public sealed record PerfResult(ulong UploadBytes, TimeSpan Upload, ulong DownloadBytes, TimeSpan Download);

/// <summary>Bytes of a perf run so far.</summary>
/// <param name="Uploaded">Handed to the operating system.</param>
/// <param name="Downloaded">Received.</param>
public readonly record struct PerfProgress(ulong Uploaded, ulong Downloaded);

/// <summary>
/// The libp2p perf protocol (<c>/perf/1.0.0</c>): memory to memory over one stream. The client sends how many bytes it wants
/// back, then its bytes, then the end; the server reads to the end, then sends.
/// </summary>
public static class PerfClient
{
    /// <summary>Bytes written at a time; a multiple of what the layers below batch.</summary>
    internal const int BlockSize = 1 << 20;

    /// <summary>Length of the header: the wanted bytes as a big-endian number (libp2p perf specification).</summary>
    internal const int HeaderSize = 8;

    // Never written to after this: zeros are sent. Pinned, so that handing it to the system moves nothing.
    internal static readonly ReadOnlyMemory<byte> Zeros = GC.AllocateArray<byte>(BlockSize, pinned: true);

    /// <summary>Runs one measurement on a stream of its own.</summary>
    /// <param name="connection">The connection to measure.</param>
    /// <param name="uploadBytes">Bytes to send; zero is fine.</param>
    /// <param name="downloadBytes">Bytes to have sent back; zero is fine.</param>
    /// <param name="progress">Told after every block, on an unspecified thread.</param>
    /// <param name="timeProvider">The clock; default: the system's.</param>
    /// <param name="cancellationToken">Resets the stream.</param>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>: the peer does not serve perf (it is off by
    /// default); <see cref="TransportError.ProtocolViolation"/>: it sent another number of bytes than was asked for; or the
    /// connection's.</exception>
    public static async Task<PerfResult> RunAsync(
        PeerConnection connection, ulong uploadBytes, ulong downloadBytes, IProgress<PerfProgress>? progress = null,
        TimeProvider? timeProvider = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        TimeProvider time = timeProvider ?? TimeProvider.System;
        long start = time.GetTimestamp();
        PeerStream stream = await connection.OpenStreamAsync(ProtocolIds.Perf, cancellationToken).ConfigureAwait(false);
        try
        {
            await UploadAsync(stream.Output, uploadBytes, downloadBytes, progress, cancellationToken).ConfigureAwait(false);
            ReadResult first = await stream.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
            TimeSpan upload = time.GetElapsedTime(start);
            start = time.GetTimestamp();
            var asked = new PerfProgress(uploadBytes, downloadBytes);
            await DownloadAsync(stream.Input, first, asked, connection.Peer, progress, cancellationToken).ConfigureAwait(false);
            return new PerfResult(uploadBytes, upload, downloadBytes, time.GetElapsedTime(start));
        }
        catch
        {
            stream.Reset();
            throw;
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static async Task UploadAsync(
        PipeWriter output, ulong upload, ulong download, IProgress<PerfProgress>? progress, CancellationToken cancellationToken)
    {
        // The header shares its first frame with data: js-libp2p looks for it in the first piece it gets.
        ulong left = upload;
        int first = (int)Math.Min(left, 64 * 1024 - 12 - HeaderSize);
        byte[] head = new byte[HeaderSize + first];
        BinaryPrimitives.WriteUInt64BigEndian(head, download);
        await output.WriteAsync(head, cancellationToken).ConfigureAwait(false);
        left -= (ulong)first;
        while (left > 0)
        {
            int count = (int)Math.Min(left, BlockSize);
            await output.WriteAsync(Zeros[..count], cancellationToken).ConfigureAwait(false);
            left -= (ulong)count;
            progress?.Report(new PerfProgress(upload - left, 0));
        }

        await output.CompleteAsync().ConfigureAwait(false);
    }

    private static async Task DownloadAsync(
        PipeReader input, ReadResult result, PerfProgress asked, PeerId peer, IProgress<PerfProgress>? progress, CancellationToken cancellationToken)
    {
        ulong wanted = asked.Downloaded;
        ulong received = 0;
        while (true)
        {
            received += (ulong)result.Buffer.Length;
            input.AdvanceTo(result.Buffer.End);
            if (received > wanted || (result.IsCompleted && received < wanted))
            {
                string sent = received > wanted ? "more" : $"{received}";
                throw new TransportException(TransportError.ProtocolViolation, $"{peer} was asked for {wanted} bytes and sent {sent}") { Peer = peer };
            }

            progress?.Report(asked with { Downloaded = received });
            if (result.IsCompleted) return;
            result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
