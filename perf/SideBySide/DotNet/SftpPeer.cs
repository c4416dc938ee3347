using Renci.SshNet;

namespace FastShare.SideBySide.DotNet;

/// <summary>SSH.NET's SFTP client; the server is sshd.</summary>
internal static class SftpPeer
{
    public static void Fetch(int port, string user, string key, string source, string destination)
    {
        using var file = new PrivateKeyFile(key);
        using var client = new SftpClient("127.0.0.1", port, user, file) { BufferSize = 256 << 10 };
        client.Connect();
        using FileStream target = File.Create(destination);
        client.DownloadFile(source, target);
    }
}
