using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary><c>send --checksum</c>: what is there already is compared by content.</summary>
public sealed class ChecksumTests : IDisposable
{
    private const int Length = 2_500_000;
    private static readonly DateTime _time = new(2022, 2, 2, 2, 2, 2, DateTimeKind.Utc);

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Other_content_of_the_same_size_and_time_is_sent_only_with_it()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], Length), there = FileTree.WriteFile(_folder["in/file.bin"], Length, seed: 2);
        File.SetLastWriteTimeUtc(file, _time);
        File.SetLastWriteTimeUtc(there, _time);
        byte[] before = await File.ReadAllBytesAsync(there);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--replace", .. ReceivingNode.ByAddress]);

        await using FastShareProcess without = await SendAsync(receiver, file);
        Assert.True(without.ExitCode == 0, without.ToString());
        Assert.Equal(before, await File.ReadAllBytesAsync(there));

        await using FastShareProcess with = await SendAsync(receiver, file, "--checksum");
        Assert.True(with.ExitCode == 0, with.ToString());
        FileTree.AssertSameContent(file, there);
        Assert.Equal("file.bin", (await with.WaitForEventAsync("fileCompleted")).GetProperty("path").GetString());
    }

    [Fact]
    public async Task Equal_content_under_another_time_is_not_sent_and_gets_the_time()
    {
        string tree = FileTree.Write(_folder["tree"]);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using (FastShareProcess first = await SendAsync(receiver, tree)) Assert.True(first.ExitCode == 0, first.ToString());
        foreach (string path in Directory.EnumerateFiles(_folder["in/tree"], "*", SearchOption.AllDirectories)) File.SetLastWriteTimeUtc(path, _time);

        // Nothing may be replaced here, and nothing has to be.
        await using FastShareProcess again = await SendAsync(receiver, tree, "--checksum");
        Assert.True(again.ExitCode == 0, again.ToString());
        Assert.DoesNotContain(again.Events, e => e.GetProperty("event").GetString() == "fileCompleted");
        JsonElement completed = await again.WaitForEventAsync("completed");
        Assert.Equal(8, completed.GetProperty("files").GetInt32());
        FileTree.AssertEqual(tree, _folder["in/tree"]);
    }

    private Task<FastShareProcess> SendAsync(ReceivingNode receiver, string path, params string[] options) =>
        FastShareProcess.RunAsync(_folder, ["send", path, "--to", receiver.Address, .. options, .. ReceivingNode.ByAddress]);

    public void Dispose() => _folder.Dispose();
}
