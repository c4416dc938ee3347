using System.Diagnostics;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.DiscoveryPerf;

/// <summary>
/// Two hosts of <c>tests/Interop/scripts/netns-lan.sh</c>, one announcing, one watching; the cable between them is pulled and put back, and
/// an address comes and goes.
/// </summary>
internal static class ComingAndGoing
{
    private const int Rounds = 5;

    public static async Task<int> MeasureAsync()
    {
        if (Environment.GetEnvironmentVariable("LAN_A") is not { } a || Environment.GetEnvironmentVariable("LAN_B") is not { } b)
        {
            Console.Error.WriteLine("run it by tests/Interop/scripts/netns-lan.sh, as root");
            return 2;
        }

        using Process announcer = Start(a, "announce"), watcher = Start(b, "watch");
        try
        {
            await NextAsync(watcher, "Found", "10.77.0.1");
            var rows = new Dictionary<string, List<double>>();
            for (int round = 0; round < Rounds; round++)
            {
                await TimeAsync("link down: peer expired", b, "link set eth0 down", "Expired", "10.77.0.1");
                await TimeAsync("link up: peer found again", b, "link set eth0 up", "Found", "10.77.0.1");
                await TimeAsync("address added there: found here", a, "address add 10.77.0.91/24 dev eth0", "Found", "10.77.0.91");
                await TimeAsync("address removed there: expired here", a, "address del 10.77.0.91/24 dev eth0", "Expired", "10.77.0.91");
            }

            Console.WriteLine($"| what | median s | min | max |\n|---|---|---|---|");
            foreach ((string what, List<double> times) in rows)
            {
                times.Sort();
                Console.WriteLine($"| {what} | {times[times.Count / 2]:0.00} | {times[0]:0.00} | {times[^1]:0.00} |");
            }

            async Task TimeAsync(string what, string host, string change, string kind, string ip)
            {
                using Process ip2 = Process.Start("ip", ["-n", host, .. change.Split(' ')]);
                await ip2.WaitForExitAsync();
                long start = Stopwatch.GetTimestamp();
                await NextAsync(watcher, kind, ip);
                if (!rows.TryGetValue(what, out List<double>? times)) rows.Add(what, times = []);
                times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }
        finally
        {
            announcer.Kill();
            watcher.Kill();
        }

        return 0;
    }

    /// <summary>A node in one of the hosts, until it is killed.</summary>
    public static async Task RunNodeAsync(string role)
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        await using var discovery = new MdnsDiscovery();
        Multiaddr[] listen = role == "announce" ? [Multiaddr.Parse("/ip4/0.0.0.0/tcp/4001")] : [];
        await discovery.StartAsync(
            identity.PeerId, listen, e => Console.WriteLine($"{e.Kind} {string.Join(' ', e.Addresses)}"), CancellationToken.None);
        await Task.Delay(Timeout.Infinite);
    }

    private static Process Start(string host, string role) => Process.Start(
        new ProcessStartInfo("ip", ["netns", "exec", host, Environment.ProcessPath!, role]) { RedirectStandardOutput = true })!;

    private static async Task NextAsync(Process watcher, string kind, string ip)
    {
        while (await watcher.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.StartsWith(kind, StringComparison.Ordinal) && line.Contains($"/ip4/{ip}/tcp/", StringComparison.Ordinal)) return;
        }

        throw new InvalidOperationException("the watching node ended");
    }
}
