using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>A running <c>fastshare receive --json</c> on loopback.</summary>
internal sealed class ReceivingNode : IAsyncDisposable
{
    /// <summary>Options of a node that is reached by its address only.</summary>
    public static readonly string[] ByAddress = ["--json", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

    /// <summary>
    /// As <see cref="ByAddress"/>, with the identity of the test's configuration folder: a transfer resumes for the same peer only.
    /// </summary>
    public static readonly string[] Known = [.. ByAddress.Except(["--ephemeral"])];

    /// <summary>Options of a node that is found by mDNS on the loopback interface only.</summary>
    public static readonly string[] ByMdns = ["--json", "--ephemeral", "--interface", "lo", "--listen", "/ip4/127.0.0.1/tcp/0"];

    private ReceivingNode(FastShareProcess process, JsonElement listening)
    {
        Process = process;
        Peer = listening.GetProperty("peer").GetString()!;
        Address = listening.GetProperty("addresses")[0].GetString()!;
    }

    public FastShareProcess Process { get; }

    public string Peer { get; }

    /// <summary>A multiaddr that ends in the peer id.</summary>
    public string Address { get; }

    public static async Task<ReceivingNode> StartAsync(TestFolder folder, string into, params IEnumerable<string> options)
    {
        return await WhenListeningAsync(FastShareProcess.Start(folder, ["receive", into, .. options]));
    }

    /// <summary>A receiver that was started otherwise; it is this one's from now on.</summary>
    public static async Task<ReceivingNode> WhenListeningAsync(FastShareProcess process) =>
        new(process, await process.WaitForEventAsync("listening"));

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
