using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using FastShare.Transport;

namespace FastShare.Interop;

/// <summary>FastShare's side of the protocols that <c>js/peer.mjs</c> speaks with the tests.</summary>
internal static class InteropProtocols
{
    /// <summary>Sends back what comes, as it comes.</summary>
    public const string Echo = "/interop/echo/1";

    /// <summary>Reads to the end, answers the SHA-256 as 64 hexadecimal digits.</summary>
    public const string Digest = "/interop/digest/1";

    /// <summary>Answers and ends its side first, then reads to the end.</summary>
    public const string Early = "/interop/early/1";

    /// <summary>Reads something, then resets.</summary>
    public const string Reset = "/interop/reset/1";

    /// <summary>Serves all of them.</summary>
    /// <param name="swarm">The node.</param>
    /// <param name="drained">Told the digest of what an <see cref="Early"/> stream brought after its answer.</param>
    /// <param name="failed">Told how reading an <see cref="Echo"/> stream failed.</param>
    public static void Serve(Swarm swarm, Action<string> drained, Action<Exception> failed)
    {
        swarm.Handle(Echo, async (stream, cancellationToken) =>
        {
            try
            {
                await stream.Input.CopyToAsync(stream.Output, cancellationToken);
                await stream.Output.CompleteAsync();
            }
            catch (Exception e)
            {
                failed(e);
                throw;
            }
        });
        swarm.Handle(Digest, AnswerDigestAsync);
        swarm.Handle(Early, async (stream, cancellationToken) =>
        {
            await stream.Output.WriteAsync("early"u8.ToArray(), cancellationToken);
            await stream.Output.CompleteAsync();
            drained(await DigestAsync(stream.Input, cancellationToken));
        });
        swarm.Handle(Reset, async (stream, cancellationToken) =>
        {
            await stream.Input.ReadAsync(cancellationToken);
            stream.Reset();
        });
    }

    /// <summary>What a <see cref="Digest"/> stream's listener does.</summary>
    public static async Task AnswerDigestAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        string digest = await DigestAsync(stream.Input, cancellationToken);
        await stream.Output.WriteAsync(Encoding.ASCII.GetBytes(digest), cancellationToken);
        await stream.Output.CompleteAsync();
    }

    /// <summary>Sends <paramref name="bytes"/> and the end; checks that the same come back while they are being sent.</summary>
    public static async Task EchoAsync(PeerStream stream, byte[] bytes)
    {
        await using (stream)
        {
            Task<string> answer = DigestAsync(stream.Input, CancellationToken.None);
            await stream.Output.WriteAsync(bytes);
            await stream.Output.CompleteAsync();
            Assert.Equal(DigestOf(bytes), await answer);
        }
    }

    /// <summary>Sends <paramref name="request"/> and the end; then reads the answer to its end.</summary>
    public static async Task<string> RequestAsync(PeerStream stream, byte[] request)
    {
        await using (stream)
        {
            await stream.Output.WriteAsync(request);
            await stream.Output.CompleteAsync();
            return await ReadTextAsync(stream.Input);
        }
    }

    public static async Task<string> ReadTextAsync(PipeReader input)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync();
            if (read.IsCompleted) return Encoding.ASCII.GetString(read.Buffer);
            input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    public static string DigestOf(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static async Task<string> DigestAsync(PipeReader input, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        while (true)
        {
            ReadResult read = await input.ReadAsync(cancellationToken);
            foreach (ReadOnlyMemory<byte> part in read.Buffer) hash.AppendData(part.Span);
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }
}
