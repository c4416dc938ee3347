using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>From starting a program to the first byte that a listening socket gets from it; the socket never answers.</summary>
internal static class ColdStartRows
{
    public static void Add(Bench bench)
    {
        if (FastShareNodes.Find() is { } fastshare)
        {
            Add(bench, "fastshare", isReference: true, async (port, token) =>
            {
                (string output, _) = await ChildProcess.RunAsync(fastshare, ["id", "--ephemeral", "--json"], token);
                using JsonDocument id = JsonDocument.Parse(output);
                string peer = id.RootElement.GetProperty("peer").GetString()!;
                return [fastshare, "send", bench.Source, "--to", $"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}", .. FastShareNodes.ClientOptions(insecure: false)];
            });
        }

        if (ChildProcess.Find("curl") is { } curl)
            Add(bench, "curl, HTTPS", isReference: false, (port, _) => Task.FromResult<string[]>([curl, "-sk", $"https://127.0.0.1:{port}/"]));
        if (ChildProcess.Find("rsync") is { } rsync)
            Add(bench, "rsync daemon's client", isReference: false, (port, _) => Task.FromResult<string[]>([rsync, $"rsync://127.0.0.1:{port}/"]));
    }

    private static void Add(Bench bench, string name, bool isReference, Func<int, CancellationToken, Task<string[]>> command) =>
        bench.Add(new Contender(name, Settings.ColdStart, [], async (_, token) =>
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            string[] words = await command(((IPEndPoint)listener.LocalEndpoint).Port, token);
            Task<double> first = Task.Run(() => FirstByte(listener), token); // blocking: no thread of a pool has to be found for it
            long start = Stopwatch.GetTimestamp();
            await using ChildProcess process = ChildProcess.StartAtOnce(words[0], words[1..]);
            return await first.WaitAsync(TimeSpan.FromSeconds(20), token) - start / (double)Stopwatch.Frequency;
        })
        { IsReference = isReference });

    private static double FirstByte(TcpListener listener)
    {
        using Socket socket = listener.AcceptSocket();
        if (socket.Receive(new byte[1]) != 1) throw new InvalidOperationException("it hung up without a byte");
        return Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
    }
}
