using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>sshd on loopback with keys of its own, for scp.</summary>
internal static class Sshd
{
    public static async Task<ChildProcess?> StartAsync(string work, int port, CancellationToken cancellationToken)
    {
        if (ChildProcess.Find("sshd") is not { } sshd || ChildProcess.Find("ssh-keygen") is not { } keygen || ChildProcess.Find("scp") is null) return null;
        foreach (string name in (string[])["host", "user"])
            await ChildProcess.RunAsync(keygen, ["-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(work, name)], cancellationToken);
        if (Environment.IsPrivilegedProcess) Directory.CreateDirectory("/run/sshd");
        string configuration = Path.Combine(work, "sshd.conf");
        await File.WriteAllTextAsync(configuration, $"""
            ListenAddress 127.0.0.1
            Port {port.ToString(CultureInfo.InvariantCulture)}
            HostKey {work}/host
            AuthorizedKeysFile {work}/user.pub
            PidFile {work}/sshd.pid
            StrictModes no
            UsePAM no
            PermitRootLogin yes
            Subsystem sftp internal-sftp
            """, cancellationToken);
        ChildProcess server = ChildProcess.Start(sshd, "-D", "-e", "-f", configuration);
        await Ports.WaitUntilOpenAsync(port, cancellationToken);
        return server;
    }
}
