using System.Text.Json;
using System.Threading.Channels;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Interop;

/// <summary>
/// A FastShare node of a test's own and a js-libp2p node, which may serve other tests too, on the loopback interface, connected or not.
/// </summary>
internal sealed class Pair : IAsyncDisposable
{
    private readonly PeerIdentity _identity;
    private readonly Channel<string> _drained = Channel.CreateUnbounded<string>();
    private readonly Channel<Exception> _failed = Channel.CreateUnbounded<Exception>();

    private Pair(PeerIdentity identity, Swarm swarm, JsPeer js)
    {
        _identity = identity;
        Swarm = swarm;
        Js = js;
    }

    public Swarm Swarm { get; }

    public JsPeer Js { get; }

    /// <summary>FastShare's address with its peer id.</summary>
    public Multiaddr Address => Swarm.ListenAddresses[0].WithPeerId(Swarm.LocalPeer);

    /// <summary>FastShare's end of the connection.</summary>
    public PeerConnection Connection => Assert.Single(Swarm.Connections);

    /// <summary>Two nodes that do not know each other.</summary>
    public static async Task<Pair> StartAsync(SecurityMode security, JsPeer js)
    {
        PeerIdentity identity = PeerIdentity.Generate();
        var swarm = new Swarm(new SwarmOptions { Identity = identity, Security = security, AgentVersion = "fastshare/interop" });
        var pair = new Pair(identity, swarm, js);
        try
        {
            swarm.EnablePerf();
            InteropProtocols.Serve(swarm, d => pair._drained.Writer.TryWrite(d), e => pair._failed.Writer.TryWrite(e));
            await swarm.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"));
            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    /// <summary>Two nodes with one connection, dialed by either.</summary>
    public static async Task<Pair> ConnectAsync(SecurityMode security, JsPeer js, bool jsDials)
    {
        Pair pair = await StartAsync(security, js);
        try
        {
            if (jsDials)
            {
                IAsyncEnumerable<SwarmEvent> events = pair.Swarm.WatchAsync(TestContext.Current.CancellationToken);
                await pair.DoAsync("dial", new { address = pair.Address });
                // js may have its end before FastShare has its own
                await events.FirstAsync(e => e is SwarmEvent.Connected);
            }
            else
            {
                await pair.Swarm.ConnectAsync(js.Id, js.Addresses);
                await pair.EventAsync("opened");
            }

            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    /// <summary>Has js do something with this FastShare node, unless the arguments name another.</summary>
    public Task<JsonElement> DoAsync(string command, object? arguments = null) => Js.DoAsync(command, Swarm.LocalPeer, arguments);

    /// <summary>The first event of js, past or to come, that concerns this FastShare node.</summary>
    public Task<JsonElement> EventAsync(string name)
    {
        string self = Swarm.LocalPeer.ToString();
        return Js.Process.EventAsync(name, e => e.GetProperty("peer").GetString() == self);
    }

    /// <summary>Digest of what the next 'early' stream brought to FastShare.</summary>
    public ValueTask<string> DrainedAsync() => _drained.Reader.ReadAsync(TestContext.Current.CancellationToken);

    /// <summary>How the next echo handler of FastShare failed.</summary>
    public ValueTask<Exception> FailedAsync() => _failed.Reader.ReadAsync(TestContext.Current.CancellationToken);

    public ValueTask<PeerStream> OpenAsync(string protocol) => Connection.OpenStreamAsync(protocol);

    public async ValueTask DisposeAsync()
    {
        await Swarm.DisposeAsync();
        _identity.Dispose();
    }
}
