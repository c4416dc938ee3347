using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>What runs over ssh: scp and rsync.</summary>
internal static class SshRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        int port = Ports.Free();
        if (await Sshd.StartAsync(bench.Work, port, cancellationToken) is not { } server)
        {
            bench.Miss("sshd, ssh-keygen and scp");
            return;
        }

        bench.Own(server);
        string[] options =
        [
            "-i", Path.Combine(bench.Work, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR",
        ];
        string number = port.ToString(CultureInfo.InvariantCulture), host = $"{Environment.UserName}@127.0.0.1";
        string[] scp = ["scp", "-q", "-P", number, .. options];
        bench.AddFileRow("scp, default cipher", [server], destination => [.. scp, $"{host}:{bench.Source}", destination]);
        bench.AddFileRow(
            "scp, aes128-gcm", [server], destination => [.. scp, "-c", "aes128-gcm@openssh.com", $"{host}:{bench.Source}", destination]);
        if (ChildProcess.Find("rsync") is not { } rsync) return; // told by its own row
        string shell = $"ssh -p {number} {string.Join(' ', options)}";
        bench.AddFileRow("rsync over ssh", [server], destination => [rsync, "-a", "-e", shell, $"{host}:{bench.Source}", destination]);
        bench.AddTreeRow("rsync over ssh", [server], destination => [rsync, "-a", "-e", shell, $"{host}:{bench.Tree}/", destination]);
        bench.Add(Sftp(bench, server, port));
    }

    private static Contender Sftp(Bench bench, ChildProcess server, int port) =>
        DotNetRows.FileRow(bench, "SSH.NET, SFTP", [server], destination =>
            ["sftp", $"{port}", Environment.UserName, Path.Combine(bench.Work, "user"), bench.Source, destination]);
}
