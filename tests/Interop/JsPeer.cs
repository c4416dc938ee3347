using System.Text.Json;
using FastShare.Transport.Identity;

namespace FastShare.Interop;

/// <summary>A js-libp2p node in a process of its own, driven through <c>js/peer.mjs</c>.</summary>
internal sealed class JsPeer : IAsyncDisposable
{
    private int _lastCommand; // interlocked

    private JsPeer(LineProcess process, PeerId id, IReadOnlyList<Multiaddr> addresses)
    {
        Process = process;
        Id = id;
        Addresses = addresses;
    }

    public LineProcess Process { get; }

    public PeerId Id { get; }

    /// <summary>Where it listens, each address ending in its peer id.</summary>
    public IReadOnlyList<Multiaddr> Addresses { get; }

    /// <param name="options">See <c>js/lib/node.mjs</c>.</param>
    /// <param name="prefix">A command line to run it behind, such as <c>ip netns exec NAME</c>.</param>
    public static async Task<JsPeer> StartAsync(object options, params string[] prefix)
    {
        NodeModules modules = await NodeModules.RequireAsync();
        string[] command = [.. prefix, modules.Node, Path.Combine(modules.Folder, "peer.mjs"), JsonSerializer.Serialize(options)];
        LineProcess process = LineProcess.Start(command[0], command[1..]);
        try
        {
            JsonElement listening = await process.EventAsync("listening");
            return new JsPeer(
                process,
                PeerId.Parse(listening.GetProperty("peer").GetString()!),
                [.. listening.GetProperty("addresses").EnumerateArray().Select(a => Multiaddr.Parse(a.GetString()!))]);
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>Has the peer do something and waits for its answer.</summary>
    /// <param name="command">One of the commands of <c>js/peer.mjs</c>.</param>
    /// <param name="peer">The other peer that the command is about.</param>
    /// <param name="arguments">An anonymous object of further arguments.</param>
    /// <exception cref="JsPeerException">It answered with an error.</exception>
    public async Task<JsonElement> DoAsync(string command, PeerId peer, object? arguments = null)
    {
        int id = Interlocked.Increment(ref _lastCommand);
        var line = new Dictionary<string, object?> { ["id"] = id, ["do"] = command, ["peer"] = peer.ToString() };
        if (arguments is not null)
        {
            foreach (System.Reflection.PropertyInfo property in arguments.GetType().GetProperties())
            {
                object? value = property.GetValue(arguments);
                line[property.Name] = value is PeerId or Multiaddr ? value.ToString() : value;
            }
        }

        await Process.WriteLineAsync(JsonSerializer.Serialize(line));
        JsonElement answer = await Process.WaitForAsync(l => l.TryGetProperty("id", out JsonElement found) && found.GetInt32() == id, $"the answer to '{command}'");
        return answer.TryGetProperty("error", out JsonElement error)
            ? throw new JsPeerException($"js-libp2p, {command}: {error.GetString()}")
            : answer.GetProperty("result");
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}

/// <summary>js-libp2p said that something failed.</summary>
internal sealed class JsPeerException(string message) : Exception(message);
