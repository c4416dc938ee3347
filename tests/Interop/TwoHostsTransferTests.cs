using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text.Json;

namespace FastShare.Interop;

/// <summary>The <c>fastshare</c> command between two hosts that find each other by mDNS.</summary>
[SupportedOSPlatform("linux")] // where TwoHosts does not skip
public sealed class TwoHostsTransferTests : IDisposable
{
    private const int HangLimit = 120_000;
    private const UnixFileMode ModeBits = (UnixFileMode)0x1ff; // rwx for owner, group and others
    private readonly string _folder = Directory.CreateTempSubdirectory("fastshare-interop-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact(Timeout = HangLimit)]
    public async Task A_tree_sent_to_a_peer_id_arrives_equal_with_modes_and_times()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        string source = Path.Combine(_folder, "out"), destination = Path.Combine(_folder, "in");
        MakeTree(source);

        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", destination, "--yes", "--ephemeral", "--once");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess send = TwoHosts.FastShare(
            lan.B, "send", Path.Combine(source, "big.iso"), Path.Combine(source, "folder") + "/", "--to", peer, "--ephemeral");

        (int exit, string errors) = await send.ExitAsync();
        Assert.True(exit == 0, errors);
        JsonElement completed = Assert.Single(send.Events("completed"));
        Assert.Equal(1, completed.GetProperty("dials").GetInt32());
        Assert.Equal(0, completed.GetProperty("bytesResent").GetInt64());
        (exit, errors) = await receive.ExitAsync();
        Assert.True(exit == 0, errors);
        Assert.Equal(Describe(source), Describe(destination));
    }

    private static void MakeTree(string root)
    {
        var random = new Random(77);
        string folder = Path.Combine(root, "folder");
        Directory.CreateDirectory(Path.Combine(folder, "deep", "deeper"));
        Directory.CreateDirectory(Path.Combine(folder, "empty"));
        Write(Path.Combine(root, "big.iso"), 64 << 20);
        Write(Path.Combine(folder, "nothing"), 0);
        Write(Path.Combine(folder, "Grüße 日本語.txt"), 12_345);
        Write(Path.Combine(folder, "deep", "script.sh"), 100);
        for (int i = 0; i < 200; i++) Write(Path.Combine(folder, "deep", "deeper", $"small-{i}"), random.Next(5_000));
        File.SetUnixFileMode(Path.Combine(folder, "deep", "script.sh"), (UnixFileMode)Convert.ToInt32("750", 8));
        File.SetUnixFileMode(Path.Combine(folder, "nothing"), (UnixFileMode)Convert.ToInt32("400", 8));
        Directory.SetLastWriteTimeUtc(Path.Combine(folder, "empty"), new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));

        void Write(string path, int size)
        {
            byte[] bytes = new byte[size];
            random.NextBytes(bytes);
            File.WriteAllBytes(path, bytes);
            File.SetLastWriteTimeUtc(path, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddSeconds(random.Next(100_000_000)));
        }
    }

    /// <summary>One line an entry: path, kind, mode, time of the last write, digest.</summary>
    private static string[] Describe(string root) =>
    [
        .. Directory.EnumerateFileSystemEntries(root, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(path =>
        {
            bool isFolder = Directory.Exists(path);
            string mode = Convert.ToString((int)(File.GetUnixFileMode(path) & ModeBits), 8);
            string content = isFolder ? "folder" : Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
            // Times of folders change with what is written in them; only that of the empty one is the sender's to tell.
            string time = isFolder && Directory.EnumerateFileSystemEntries(path).Any() ? "" : File.GetLastWriteTimeUtc(path).ToString("O");
            return $"{Path.GetRelativePath(root, path)} {mode} {time} {content}";
        }),
    ];
}
