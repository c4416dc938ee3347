using System.Security.Cryptography;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Samples.QueuedFiles;

/// <summary>Sends queued files, all at once, and tells what became of each.</summary>
internal static class Sending
{
    /// <summary>
    /// Begins a request for every file before it waits for any: the requests share one dial if the peer is not connected.
    /// </summary>
    /// <returns>How each failed; null: it arrived as it was sent.</returns>
    public static async Task<RequestException?[]> SendAllAsync(
        Node node, PeerId peer, IReadOnlyList<FileRequest> files, RequestOptions? options = null)
    {
        OutboundRequest<FileReceipt>[] requests = [.. files.Select(file => node.Files.Begin(peer, file, options))];
        return await Task.WhenAll(files.Zip(requests, OutcomeAsync));
    }

    private static async Task<RequestException?> OutcomeAsync(FileRequest file, OutboundRequest<FileReceipt> request)
    {
        try
        {
            FileReceipt receipt = await request.Response;
            if (receipt.Bytes != (ulong)file.Content.Length || receipt.Sha256 != Digest(file.Content))
                throw new InvalidDataException($"{file.Name} arrived as something else");
            Console.WriteLine($"   request {request.Id}: {file.Name}, {receipt.Bytes} bytes, arrived; its SHA-256 is right");
            return null;
        }
        catch (RequestException e)
        {
            Console.WriteLine($"   request {request.Id}: {file.Name} failed ({e.Failure}) while {e.Stage}");
            foreach (DialAttempt attempt in e.Attempts) Console.WriteLine($"      tried {attempt.Address}: {attempt.Error}, {attempt.Message}");
            return e;
        }
    }

    public static string Digest(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));
}
