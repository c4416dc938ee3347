namespace FastShare.SideBySide.Rows;

/// <summary>What runs over ssh: scp and rsync.</summary>
internal static class SshRows
{
    private const string Scp = "scp, default cipher", ScpAes = "scp, aes128-gcm", Rsync = "rsync over ssh", Sftp = "SSH.NET, SFTP";

    public static void Add(Bench bench)
    {
        if (Sshd.Serve(bench) is not { } server)
        {
            foreach (string row in (string[])[Scp, ScpAes, Rsync, Sftp]) bench.Miss(row, "sshd, ssh-keygen and scp");
            return;
        }

        string[] options =
        [
            "-i", Path.Combine(bench.Work, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
        ];
        string host = $"{Environment.UserName}@127.0.0.1";
        bench.AddFileRow(Scp, [server], destination => [.. Command(), $"{host}:{bench.Source}", destination]);
        bench.AddFileRow(ScpAes, [server], destination => [.. Command(), "-c", "aes128-gcm@openssh.com", $"{host}:{bench.Source}", destination]);
        bench.Add(DotNetRows.FileRow(bench, Sftp, [server], destination =>
            ["sftp", server.Address, Environment.UserName, Path.Combine(bench.Work, "user"), bench.Source, destination]));
        if (ChildProcess.Find("rsync") is not { } rsync)
        {
            bench.Miss(Rsync, "rsync");
            return;
        }

        bench.AddFileRow(Rsync, [server], destination => [rsync, "-a", "-e", Shell(), $"{host}:{bench.Source}", destination]);
        bench.AddTreeRow(Rsync, [server], destination => [rsync, "-a", "-e", Shell(), $"{host}:{bench.Tree}/", destination]);

        string[] Command() => ["scp", "-q", "-P", server.Address, .. options];

        string Shell() => $"ssh -p {server.Address} {string.Join(' ', options)}";
    }
}
