using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>sshd on loopback with keys of its own, for scp.</summary>
internal static class Sshd
{
    /// <summary>sshd for the user of this run; null: there is none here. Its address is its port.</summary>
    public static Server? Serve(Bench bench)
    {
        if (ChildProcess.Find("sshd") is not { } sshd || ChildProcess.Find("ssh-keygen") is not { } keygen || ChildProcess.Find("scp") is null) return null;
        return bench.Serve("sshd", async token =>
        {
            string work = bench.Work;
            foreach (string name in (string[])["host", "user"])
            {
                string key = Path.Combine(work, name);
                if (!File.Exists(key)) await ChildProcess.RunAsync(keygen, ["-q", "-t", "ed25519", "-N", "", "-f", key], token);
            }

            if (Environment.IsPrivilegedProcess) Directory.CreateDirectory("/run/sshd");
            string configuration = Path.Combine(work, "sshd.conf");
            int port = Ports.Free();
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
                """, token);
            ChildProcess server = ChildProcess.Start(sshd, "-D", "-e", "-f", configuration);
            await Ports.WaitUntilOpenAsync(port, server, token);
            return (server, port.ToString(CultureInfo.InvariantCulture));
        });
    }
}
