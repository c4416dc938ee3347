using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>rsync from its own daemon: plaintext, and verified by MD5 or XXH128 of the whole file.</summary>
internal static class RsyncRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        if (ChildProcess.Find("rsync") is not { } rsync)
        {
            bench.Miss("rsync");
            return;
        }

        int port = Ports.Free();
        string configuration = Path.Combine(bench.Work, "rsyncd.conf");
        string privileges = Environment.IsPrivilegedProcess ? "uid = root\ngid = root" : "";
        await File.WriteAllTextAsync(
            configuration,
            $"""
            address = 127.0.0.1
            port = {port.ToString(CultureInfo.InvariantCulture)}
            use chroot = no
            {privileges}
            [bench]
            path = {bench.Work}
            read only = yes

            """,
            cancellationToken);
        ChildProcess server = bench.Own(ChildProcess.Start(rsync, "--daemon", "--no-detach", $"--config={configuration}"));
        await Ports.WaitUntilOpenAsync(port, cancellationToken);
        string url = $"rsync://127.0.0.1:{port}/bench";
        bench.AddFileRow("rsync daemon (plaintext)", [server], destination => [rsync, "-a", $"{url}/source.bin", destination]);
        bench.AddTreeRow("rsync daemon (plaintext)", [server], destination => [rsync, "-a", $"{url}/tree/", destination]);
    }
}
