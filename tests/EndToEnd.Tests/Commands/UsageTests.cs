using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

public sealed class UsageTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Theory]
    [InlineData("")]
    [InlineData("no-such-command")]
    [InlineData("send")]
    [InlineData("send file")]
    [InlineData("send --to peer")]
    [InlineData("send file --to /ip4/127.0.0.1/tcp/4001")]
    [InlineData("send file --to /ip4/nonsense")]
    [InlineData("send file --to 12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZ")]
    [InlineData("send file --to peer --wait soon")]
    [InlineData("send file --to peer --mode fast")]
    [InlineData("send file --to peer --streams 65")]
    [InlineData("send file --to peer --connections 33")]
    [InlineData("send file --to peer --rate fast")]
    [InlineData("send file --to peer --rate 0")]
    [InlineData("send file --to peer --congestion much,much")]
    [InlineData("send file --to peer --no-such-option")]
    [InlineData("send - --to peer")]
    [InlineData("send - file --as x --to peer")]
    [InlineData("send - --as ../x --to peer")]
    [InlineData("send - --as x --size lots --to peer")]
    [InlineData("send file --as x --to peer")]
    [InlineData("send file --size 5 --to peer")]
    [InlineData("receive --trust me")]
    [InlineData("receive --no-such-option")]
    [InlineData("ping --no-such-option")]
    [InlineData("receive --listen here")]
    [InlineData("receive --quota lots")]
    [InlineData("receive --identity key --ephemeral")]
    [InlineData("receive --no-mdns --interface lo")]
    [InlineData("peers --watch --seconds 3")]
    [InlineData("peers --no-mdns")]
    [InlineData("ping")]
    [InlineData("ping peer --count 0")]
    [InlineData("perf")]
    [InlineData("bench --to peer --connections 1")]
    [InlineData("bench --to peer --size 0")]
    [InlineData("demo --size nothing")]
    public async Task Command_that_cannot_be_run_as_typed_ends_with_2(string line)
    {
        await using FastShareProcess process = await FastShareProcess.RunAsync(
            _folder, line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.True(process.ExitCode == 2, process.ToString());
        Assert.Empty(process.Lines);
        Assert.NotEmpty(process.Errors);
    }

    [Theory]
    [InlineData("send file --to peer --rate fast", "--rate: 'fast' is not a rate")]
    [InlineData("send file --to peer --streams 65 --connections 33", "--streams: '65' is not a number from 1 to 64. --connections: '33'")]
    [InlineData("receive --trust me", "--trust: 'me' is not a peer id")]
    [InlineData("recieve in", "There is no command 'recieve'. There are: demo, receive, send")]
    [InlineData("send file --to peer --rat 5", "--rat")]
    public async Task Usage_error_says_what_it_is_about(string line, string message)
    {
        await using FastShareProcess process = await FastShareProcess.RunAsync(_folder, line.Split(' '));
        Assert.True(process.ExitCode == 2, process.ToString());
        Assert.Contains(message, process.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Usage_error_is_an_event_with_json()
    {
        await using FastShareProcess process = await FastShareProcess.RunAsync(_folder, "send", "--json");
        Assert.Equal(2, process.ExitCode);
        Assert.Equal("usage", Assert.Single(process.Events).GetProperty("kind").GetString());
    }

    [Fact]
    public async Task Identity_is_made_once_and_readable_by_its_owner_only()
    {
        await using FastShareProcess first = await FastShareProcess.RunAsync(_folder, "id", "--json");
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, "id", "--json");
        Assert.Equal(0, first.ExitCode);
        string key = _folder["config/fastshare/identity.key"];
        Assert.Equal(key, first.Events[0].GetProperty("keyFile").GetString());
        Assert.Equal(first.Events[0].GetProperty("peer").GetString(), second.Events[0].GetProperty("peer").GetString());
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
    }

    [Fact]
    public async Task Ephemeral_identity_leaves_no_file()
    {
        await using FastShareProcess first = await FastShareProcess.RunAsync(_folder, "id", "--json", "--ephemeral");
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, "id", "--json", "--ephemeral");
        Assert.NotEqual(first.Events[0].GetProperty("peer").GetString(), second.Events[0].GetProperty("peer").GetString());
        Assert.False(Path.Exists(_folder.Configuration));
    }

    [Fact]
    public async Task Key_file_open_to_others_is_not_used()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "file modes are a Unix matter");
        await using FastShareProcess first = await FastShareProcess.RunAsync(_folder, "id");
        string key = _folder["config/fastshare/identity.key"];
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(key, (UnixFileMode)Convert.ToInt32("644", 8));
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, "id");
        Assert.Equal(1, second.ExitCode);
        Assert.Contains("chmod 600", second.Errors, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();
}
