using System.Threading.Channels;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Interop;

/// <summary>A FastShare node and a js-libp2p node on the loopback interface, connected or not.</summary>
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
    public static async Task<Pair> StartAsync(SecurityMode security, int? jsWindow = null)
    {
        JsPeer js = await JsPeer.StartAsync(new { security = security == SecurityMode.Noise ? "noise" : "plaintext", window = jsWindow });
        Pair? pair = null;
        try
        {
            PeerIdentity identity = PeerIdentity.Generate();
            var swarm = new Swarm(new SwarmOptions { Identity = identity, Security = security, AgentVersion = "fastshare/interop" });
            pair = new Pair(identity, swarm, js);
            swarm.EnablePerf();
            InteropProtocols.Serve(swarm, d => pair._drained.Writer.TryWrite(d), e => pair._failed.Writer.TryWrite(e));
            await swarm.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"));
            return pair;
        }
        catch
        {
            await (pair?.DisposeAsync() ?? js.DisposeAsync());
            throw;
        }
    }

    /// <summary>Two nodes with one connection, dialed by either.</summary>
    public static async Task<Pair> ConnectAsync(SecurityMode security, bool jsDials, int? jsWindow = null)
    {
        Pair pair = await StartAsync(security, jsWindow);
        try
        {
            if (jsDials)
            {
                await pair.Js.DoAsync("dial", new { address = pair.Address });
                // FastShare's end is ready about when js's is: this joins it.
                await pair.Swarm.ConnectAsync(pair.Js.Id);
            }
            else
            {
                await pair.Swarm.ConnectAsync(pair.Js.Id, pair.Js.Addresses);
                await pair.Js.Process.EventAsync("opened");
            }

            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    /// <summary>Digest of what the next 'early' stream brought to FastShare.</summary>
    public ValueTask<string> DrainedAsync() => _drained.Reader.ReadAsync(TestContext.Current.CancellationToken);

    /// <summary>How the next echo handler of FastShare failed.</summary>
    public ValueTask<Exception> FailedAsync() => _failed.Reader.ReadAsync(TestContext.Current.CancellationToken);

    public ValueTask<PeerStream> OpenAsync(string protocol) => Connection.OpenStreamAsync(protocol);

    public async ValueTask DisposeAsync()
    {
        await Swarm.DisposeAsync();
        await Js.DisposeAsync();
        _identity.Dispose();
    }
}
