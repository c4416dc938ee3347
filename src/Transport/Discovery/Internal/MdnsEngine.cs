using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Runs one <see cref="MdnsCore"/> on the real network: a single loop owns the core, the ports and the calls of the sink; sockets and
/// timers only leave messages for it.
/// </summary>
internal sealed class MdnsEngine : IMdnsListener, IAsyncDisposable
{
    /// <summary>Datagrams that wait for the loop; further ones are lost, as any may be.</summary>
    private const int InboxCapacity = 512;

    /// <summary>Datagrams taken in before due work gets its turn.</summary>
    private const int Batch = 64;

    // Address changes are signalled where the system does so; this finds the rest (js-libp2p looks every 5 s).
    private static readonly TimeSpan RescanInterval = TimeSpan.FromSeconds(15);

    private readonly MdnsOptions _options;
    private readonly IMdnsNetwork _network;
    private readonly Action<DiscoveryEvent> _sink;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly IReadOnlyList<Multiaddr> _listenAddresses;
    private readonly MdnsCore _core;                          // the loop's
    private readonly Dictionary<int, OpenLink> _open = [];    // the loop's
    private readonly long _epoch;
    private readonly Channel<Datagram> _inbox = Channel.CreateBounded<Datagram>(
        new BoundedChannelOptions(InboxCapacity) { SingleReader = true, FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<IMdnsPort> _failed = [];         // guarded by itself
    private int _rescan;                                      // set from any thread, by Interlocked
    private long _reportedDrops;                              // the loop's
    private ITimer? _wake;
    private ITimer? _poll;
    private IDisposable? _watch;
    private Task _running = Task.CompletedTask;

    // A datagram, or with no payload only a reason to look around.
    private readonly record struct Datagram(int Link, IPEndPoint? Source, byte[]? Payload);

    private sealed record OpenLink(MdnsLink Link, List<IMdnsPort> Ports);

    public MdnsEngine(
        MdnsOptions options, IMdnsNetwork network, PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink)
    {
        _options = options;
        _network = network;
        _sink = sink;
        _time = options.TimeProvider;
        _logger = options.LoggerFactory.CreateLogger("FastShare.Transport.Discovery");
        _listenAddresses = listenAddresses;
        _epoch = _time.GetTimestamp();
        _core = new MdnsCore(new MdnsCoreSettings
        {
            Self = self,
            ListenAddresses = listenAddresses,
            Names = MdnsServiceNames.Create(options.ServiceName),
            Random = Random.Shared,
            Ttl = (uint)options.TimeToLive.TotalSeconds,
            MaxPeers = options.MaxPeers,
            MaxAddressesPerPeer = options.MaxAddressesPerPeer,
            MaxPacketsPerSecond = options.MaxPacketsPerSecond,
            MaxPacketsPerSecondPerSource = options.MaxPacketsPerSecondPerSource,
        });
    }

    private TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>Opens the ports and starts the loop.</summary>
    /// <exception cref="TransportException">No interface can be used; the message says why and what to do.</exception>
    public void Start()
    {
        TransportException? problem = Rescan();
        if (problem is not null) throw problem; // then nothing is open, and nothing runs
        _wake = _time.CreateTimer(_ => LookAround(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _poll = _time.CreateTimer(_ => RequestRescan(), null, RescanInterval, RescanInterval);
        _watch = _network.Watch(RequestRescan);
        _running = Task.Run(RunAsync);
    }

    void IMdnsListener.Received(MdnsLink link, IPEndPoint source, ReadOnlySpan<byte> datagram) =>
        _inbox.Writer.TryWrite(new Datagram(link.Index, source, datagram.ToArray()));

    void IMdnsListener.Failed(IMdnsPort port, Exception cause)
    {
        MdnsLog.PortFailed(_logger, port.Family, cause);
        lock (_failed) _failed.Add(port);
        RequestRescan();
    }

    public async ValueTask DisposeAsync()
    {
        _watch?.Dispose();
        if (_poll is not null) await _poll.DisposeAsync().ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);
        LookAround();
        await _running.ConfigureAwait(false);
        if (_wake is not null) await _wake.DisposeAsync().ConfigureAwait(false);
    }

    private void LookAround() => _inbox.Writer.TryWrite(default); // full: then the loop is awake anyway

    private void RequestRescan()
    {
        Interlocked.Exchange(ref _rescan, 1);
        LookAround();
    }

    private async Task RunAsync()
    {
        try
        {
            do
            {
                Pump();
                await _inbox.Reader.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false);
                for (int i = 0; i < Batch && _inbox.Reader.TryRead(out Datagram datagram); i++)
                {
                    if (datagram.Payload is not null) _core.Receive(Now, datagram.Link, datagram.Source!, datagram.Payload);
                }

                if (Interlocked.Exchange(ref _rescan, 0) == 1)
                {
                    Rescan(); // having no interface for a while is no error any more
                    await DisposeFailedAsync().ConfigureAwait(false);
                }
            }
            while (!_stop.IsCancellationRequested);

            _core.Stop(Now);
            SendPackets();
        }
        catch (Exception e)
        {
            MdnsLog.EngineFailed(_logger, e);
        }
        finally
        {
            foreach (OpenLink open in _open.Values) await CloseAsync(open).ConfigureAwait(false);
            await DisposeFailedAsync().ConfigureAwait(false);
        }
    }

    // Does what is due, sends and reports, and sets the alarm for the next time.
    private void Pump()
    {
        TimeSpan next = _core.Advance(Now);
        SendPackets();
        foreach (DiscoveryEvent observation in _core.Events)
        {
            if (_stop.IsCancellationRequested) break;
            MdnsLog.Reported(_logger, observation.Kind, observation.Peer.ToString(), observation.Addresses.Count);
            try
            {
                _sink(observation);
            }
            catch (Exception e)
            {
                MdnsLog.SinkThrew(_logger, e);
            }
        }

        _core.Events.Clear();
        TimeSpan delay = next - Now;
        if (next >= MdnsTimes.Never) delay = Timeout.InfiniteTimeSpan;
        else if (delay < TimeSpan.FromMilliseconds(1)) delay = TimeSpan.FromMilliseconds(1); // timers count whole milliseconds
        _wake!.Change(delay, Timeout.InfiniteTimeSpan);
    }

    private void SendPackets()
    {
        foreach (MdnsPacket packet in _core.Packets)
        {
            if (!_open.TryGetValue(packet.Link, out OpenLink? open)) continue;
            foreach (IMdnsPort port in open.Ports)
            {
                if (!(port.Family == AddressFamily.InterNetwork ? packet.OverIPv4 : packet.OverIPv6)) continue;
                if (port.Send(packet.Payload) is { } error) MdnsLog.SendFailed(_logger, open.Link.Name, port.Family, error);
            }
        }

        _core.Packets.Clear();
    }

    // Brings the open ports in line with the links there are. Null: at least one can be used.
    private TransportException? Rescan()
    {
        IReadOnlyList<MdnsLink> links = _network.GetLinks(out TransportException? problem);
        HashSet<IMdnsPort> failed;
        lock (_failed) failed = [.. _failed];
        foreach (OpenLink open in _open.Values.ToArray())
        {
            if (links.Contains(open.Link) && !open.Ports.Any(failed.Contains)) continue;
            _open.Remove(open.Link.Index);
            lock (_failed) _failed.UnionWith(open.Ports); // disposed after this
            MdnsLog.LinkGone(_logger, open.Link.Name);
        }

        var renewed = new List<int>();
        foreach (MdnsLink link in links)
        {
            // One family may come later: a fresh IPv6 address cannot be used before it is known to be unique.
            List<IMdnsPort> ports = _open.TryGetValue(link.Index, out OpenLink? known) ? known.Ports : [];
            int before = ports.Count;
            OpenPort(link, AddressFamily.InterNetwork, ports, ref problem);
            OpenPort(link, AddressFamily.InterNetworkV6, ports, ref problem);
            if (known is not null && ports.Count > before) renewed.Add(link.Index);
            if (known is null && ports.Count > 0) _open.Add(link.Index, new OpenLink(link, ports));
        }

        _core.SetLinks(Now, [.. _open.Values.Select(o => o.Link)]);
        foreach (int link in renewed) _core.Renew(Now, link);
        long dropped = _core.Dropped;
        if (dropped > _reportedDrops) MdnsLog.Dropped(_logger, dropped - _reportedDrops);
        _reportedDrops = dropped;
        if (_open.Count > 0) return null;
        return problem ?? new TransportException(TransportError.Unreachable,
            "mDNS cannot look for peers: no interface has an address of an enabled IP version; "
            + "enable both, or give the peer's address instead");
    }

    private void OpenPort(MdnsLink link, AddressFamily family, List<IMdnsPort> ports, ref TransportException? problem)
    {
        bool enabled = family == AddressFamily.InterNetwork ? _options.UseIPv4 : _options.UseIPv6;
        if (!enabled || !link.Has(family) || ports.Any(p => p.Family == family)) return;
        // An address at which the node listens, if there is one: rust-libp2p dials the source of what it hears.
        IPAddress local = AdvertisedAddresses.On(link, _listenAddresses).FirstOrDefault(e => e.AddressFamily == family)?.Address
            ?? link.Addresses.First(a => a.Address.AddressFamily == family).Address;
        try
        {
            ports.Add(_network.Open(link, family, local, this));
            MdnsLog.PortOpened(_logger, link.Name, family);
        }
        catch (TransportException e)
        {
            MdnsLog.PortUnusable(_logger, e.Message);
            problem ??= e;
        }
    }

    private async ValueTask DisposeFailedAsync()
    {
        IMdnsPort[] ports;
        lock (_failed)
        {
            ports = [.. _failed];
            _failed.Clear();
        }

        foreach (IMdnsPort port in ports) await port.DisposeAsync().ConfigureAwait(false);
    }

    private static async ValueTask CloseAsync(OpenLink open)
    {
        foreach (IMdnsPort port in open.Ports) await port.DisposeAsync().ConfigureAwait(false);
    }
}
