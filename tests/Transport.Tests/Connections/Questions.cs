using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Connections;

/// <summary>Small questions with small answers, for tests about what carries them.</summary>
internal static class Questions
{
    public const string Echo = "/test/echo/1";

    /// <summary>Answers every question with itself.</summary>
    public static async Task EchoAsync(PeerStream stream, CancellationToken token)
    {
        await stream.Input.CopyToAsync(stream.Output, token);
        await stream.Output.CompleteAsync();
    }

    /// <summary>Asks over whatever connection there is, dialing if there is none.</summary>
    public static async Task<int> AskAsync(Swarm from, PeerId peer, int question, CancellationToken token) =>
        await AskAsync(await from.OpenStreamAsync(peer, Echo, token), question, token);

    /// <summary>Asks over one stream.</summary>
    public static async Task<int> AskAsync(PeerStream stream, int question, CancellationToken token)
    {
        await using (stream)
        {
            await stream.Output.WriteAsync(BitConverter.GetBytes(question), token);
            await stream.Output.CompleteAsync();
            System.IO.Pipelines.ReadResult answer = await stream.Input.ReadAtLeastAsync(sizeof(int), token);
            byte[] bytes = System.Buffers.BuffersExtensions.ToArray(answer.Buffer);
            stream.Input.AdvanceTo(answer.Buffer.End);
            return BitConverter.ToInt32(bytes);
        }
    }
}
