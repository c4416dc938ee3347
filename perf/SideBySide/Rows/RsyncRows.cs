using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>rsync from its own daemon: plaintext, and verified by MD5 or XXH128 of the whole file.</summary>
internal static class RsyncRows
{
    private const string Daemon = "rsync daemon (plaintext)";

    public static void Add(Bench bench)
    {
        if (ChildProcess.Find("rsync") is not { } rsync)
        {
            bench.Miss(Daemon, "rsync");
            return;
        }

        Server server = bench.Serve("rsync --daemon", async token =>
        {
            int port = Ports.Free();
            string configuration = Path.Combine(bench.Work, "rsyncd.conf");
            await File.WriteAllTextAsync(configuration, Configuration("127.0.0.1", port, bench.Work), token);
            ChildProcess process = ChildProcess.Start(rsync, "--daemon", "--no-detach", $"--config={configuration}");
            await Ports.WaitUntilOpenAsync(port, process, token);
            return (process, $"rsync://127.0.0.1:{port}/bench");
        });
        bench.AddFileRow(Daemon, [server], destination => [rsync, "-a", $"{server.Address}/source.bin", destination]);
        bench.AddTreeRow(Daemon, [server], destination => [rsync, "-a", $"{server.Address}/tree/", destination]);
    }

    /// <summary>What a daemon reads: one module, <c>bench</c>.</summary>
    public static string Configuration(string address, int port, string folder) =>
        $"""
        address = {address}
        port = {port.ToString(CultureInfo.InvariantCulture)}
        use chroot = no
        {(Environment.IsPrivilegedProcess ? "uid = root\ngid = root" : "")}
        [bench]
        path = {folder}
        read only = yes

        """;
}
