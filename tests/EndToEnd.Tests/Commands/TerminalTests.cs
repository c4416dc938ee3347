using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>What a person at a terminal sees and answers.</summary>
public sealed class TerminalTests : IDisposable
{
    private static readonly string[] _local = ["--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

    private readonly TestFolder _folder = new();

    [Theory]
    [InlineData("y", 0)]
    [InlineData("n", 4)]
    [InlineData("a", 0)]
    public async Task Offer_of_an_unknown_peer_is_asked_about(string answer, int code)
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using FastShareProcess receiver = FastShareProcess.StartOnTerminal(_folder, ["receive", "in", .. _local]);
        string address = await AddressAsync(receiver);
        await using FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", file, "--to", address, "--name", "the-sender", .. ReceivingNode.ByAddress]);
        await receiver.WaitForLineAsync(line =>
            line.Contains("'the-sender' (peer ", StringComparison.Ordinal)
            && line.Contains("wants to send 1 file, 1000 B", StringComparison.Ordinal));
        await receiver.WaitForLineAsync(line => line.Contains("  file.bin", StringComparison.Ordinal));
        Assert.False(Path.Exists(_folder["in"]));
        await AnswerAsync(receiver, sender, answer);

        Assert.True(await sender.WaitForExitAsync() == code, $"{sender}\n{receiver}");
        Assert.Equal(code == 0, Path.Exists(_folder["in/file.bin"]));
    }

    [Fact]
    public async Task Question_ends_with_ctrl_c()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using FastShareProcess receiver = FastShareProcess.StartOnTerminal(_folder, ["receive", "in", .. _local]);
        string address = await AddressAsync(receiver);
        await using FastShareProcess sender = FastShareProcess.Start(_folder, ["send", file, "--to", address, .. ReceivingNode.ByAddress]);
        await receiver.WaitForLineAsync(line => line.Contains("  file.bin", StringComparison.Ordinal));
        await receiver.TypeAsync("\u0003");
        Assert.True(await receiver.WaitForExitAsync() == 130, receiver.ToString());
        Assert.False(Path.Exists(_folder["in"]));
    }

    [Fact]
    public async Task Progress_is_drawn_and_cleared_away()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 12_000_000);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using var link = new SlowLink(receiver.Address, 8_000_000);
        await using FastShareProcess sender = FastShareProcess.StartOnTerminal(_folder, ["send", file, "--to", link.Address, .. _local]);
        Assert.True(await sender.WaitForExitAsync() == 0, sender.ToString());
        string screen = string.Join('\n', sender.Lines);
        Assert.Contains("MB/s", screen, StringComparison.Ordinal);
        Assert.Contains("Done: 1 file, 11.4 MiB", screen, StringComparison.Ordinal);
        int hidden = screen.LastIndexOf("\u001b[?25l", StringComparison.Ordinal);
        int shown = screen.LastIndexOf("\u001b[?25h", StringComparison.Ordinal);
        Assert.True(hidden >= 0 && shown > hidden, "the cursor stayed hidden");
    }

    // Keys typed before the question stands there answer nothing, and the question's own line ends only with the answer.
    internal static async Task AnswerAsync(FastShareProcess receiver, FastShareProcess sender, string answer)
    {
        Task<int> ended = sender.WaitForExitAsync();
        do
        {
            try
            {
                await receiver.TypeAsync(answer);
            }
            catch (IOException)
            {
                // It took the answer and has ended; how, the caller looks at.
            }
        }
        while (await Task.WhenAny(ended, Task.Delay(100)) != ended);
    }

    internal static async Task<string> AddressAsync(FastShareProcess receiver)
    {
        string line = await receiver.WaitForLineAsync(text => text.Contains("--to /ip4/127.0.0.1/", StringComparison.Ordinal));
        return line.Trim().Split(' ')[^1];
    }

    public void Dispose() => _folder.Dispose();
}
