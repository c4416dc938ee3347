using System.Text.Json;

namespace FastShare.Interop;

/// <summary>
/// Two hosts on a private network: network namespaces joined by a virtual cable (<c>scripts/netns-lan.sh</c>), so that nothing
/// multicast meets the machine's own network. Needs root on Linux.
/// </summary>
internal sealed class TwoHosts : IAsyncDisposable
{
    private readonly LineProcess _lan;

    private TwoHosts(LineProcess lan, string a, string b)
    {
        _lan = lan;
        A = a;
        B = b;
    }

    /// <summary>Namespace of the host with the address 10.77.0.1.</summary>
    public string A { get; }

    /// <summary>Namespace of the host with the address 10.77.0.2.</summary>
    public string B { get; }

    public static async Task<TwoHosts> CreateAsync()
    {
        Prerequisite.Require(OperatingSystem.IsLinux(), "network namespaces exist on Linux only");
        Prerequisite.Require(Environment.IsPrivilegedProcess, "making network namespaces needs root");
        Prerequisite.Require(Prerequisite.FindProgram("ip") is not null, "the command ip (package iproute2) is not installed");
        // Says their names and lives until its standard input ends.
        const string Hold = """printf '{"event":"ready","a":"%s","b":"%s"}\n' "$LAN_A" "$LAN_B"; cat >/dev/null""";
        LineProcess lan = LineProcess.Start("bash", Script("netns-lan.sh"), "bash", "-c", Hold);
        try
        {
            JsonElement ready = await lan.EventAsync("ready");
            return new TwoHosts(lan, ready.GetProperty("a").GetString()!, ready.GetProperty("b").GetString()!);
        }
        catch
        {
            await lan.DisposeAsync();
            throw;
        }
    }

    /// <summary>The words before a command that run it on a host.</summary>
    public static string[] On(string host) => ["ip", "netns", "exec", host];

    /// <summary>Starts the <c>fastshare</c> command on a host.</summary>
    public static LineProcess FastShare(string host, params string[] arguments)
    {
        Assert.True(File.Exists(Repository.Command), $"{Repository.Command} is not built");
        string[] command = [.. On(host), Repository.Command, .. arguments, "--json"];
        return LineProcess.Start(command[0], command[1..]);
    }

    public static string Script(string name) => Path.Combine(Repository.Root, "tests", "Interop", "scripts", name);

    public ValueTask DisposeAsync() => _lan.DisposeAsync();
}
