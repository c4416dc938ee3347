using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Runs one <see cref="MdnsCore"/> on the real network: a single loop owns the core, the ports and the calls of the sink; sockets and
/// timers only leave messages for it. Interfaces may come and go, and there may be none; whatever goes wrong is logged, and it goes on.
/// </summary>
internal sealed class MdnsEngine : IMdnsListener, IAsyncDisposable
{
    /// <summary>Datagrams that wait for the loop; further ones are lost, as any may be.</summary>
    private const int InboxCapacity = 512;

    /// <summary>Datagrams taken in before due work gets its turn.</summary>
    private const int Batch = 64;

    // Changes are signalled where the system does so; this finds the rest (js-libp2p looks as often).
    private static readonly TimeSpan RescanInterval = TimeSpan.FromSeconds(5);

    // The loop looks up every RescanInterval: where it did not for so much longer, or the wall clock went on without it, the machine slept.
    private static readonly TimeSpan Sleep = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

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
    private (TimeSpan Elapsed, DateTimeOffset Wall) _lastStep; // the loop's
    private TransportException? _problem;                     // written by the loop, read by any thread
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

    /// <summary>Why no interface can be used now; null: at least one is. Any thread may ask.</summary>
    public TransportException? Problem => Volatile.Read(ref _problem);

    private TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>Opens the ports and starts the loop. Where no interface is up, the loop waits for one.</summary>
    /// <exception cref="TransportException">There are interfaces, but none can be used, or one that was asked for does not exist; the
    /// message says why and what to do.</exception>
    public void Start()
    {
        Rescan();
        // Then nothing is open, and nothing runs.
        if (_problem is { Error: not TransportError.Unreachable } problem) throw problem;
        _lastStep = (Now, _time.GetUtcNow());
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
        TimeSpan pause = TimeSpan.Zero;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Step();
                pause = TimeSpan.Zero;
                await DisposeFailedAsync().ConfigureAwait(false);
                if (_stop.IsCancellationRequested) break; // the step may have taken in the message that says so
                await _inbox.Reader.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // Whatever it is, peers already found stay useful, and the next datagram or interface may be fine.
                pause = MdnsTimes.Min(LongestPause, MdnsTimes.Max(pause * 2, MdnsTimes.Second));
                MdnsLog.EngineFailed(_logger, pause, e);
                await Task.Delay(pause, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        try
        {
            _core.Stop(Now);
            SendPackets();
        }
        catch (Exception e)
        {
            MdnsLog.GoodbyeFailed(_logger, e);
        }

        lock (_failed) _failed.UnionWith(_open.Values.SelectMany(open => open.Ports));
        await DisposeFailedAsync().ConfigureAwait(false);
    }

    // Takes in what arrived, does what is due, and sets the alarm for the next time.
    private void Step()
    {
        NoticeSleep();
        for (int i = 0; i < Batch && _inbox.Reader.TryRead(out Datagram datagram); i++)
        {
            if (datagram.Payload is not null) _core.Receive(Now, datagram.Link, datagram.Source!, datagram.Payload);
        }

        if (_stop.IsCancellationRequested) return;
        if (Interlocked.Exchange(ref _rescan, 0) == 1) Rescan(); // having no interface for a while is no error any more
        TimeSpan next = _core.Advance(Now);
        SendPackets();
        Report();
        TimeSpan delay = next - Now;
        if (next >= MdnsTimes.Never) delay = Timeout.InfiniteTimeSpan;
        else if (delay < TimeSpan.FromMilliseconds(1)) delay = TimeSpan.FromMilliseconds(1); // timers count whole milliseconds
        _wake!.Change(delay, Timeout.InfiniteTimeSpan);
    }

    // Linux and macOS do not count sleep as elapsed time, Windows does. A wall clock that is set forward looks the same, and costs a few
    // datagrams.
    private void NoticeSleep()
    {
        (TimeSpan Elapsed, DateTimeOffset Wall) now = (Now, _time.GetUtcNow());
        TimeSpan elapsed = now.Elapsed - _lastStep.Elapsed, wall = now.Wall - _lastStep.Wall;
        _lastStep = now;
        if (elapsed < RescanInterval + Sleep && wall < elapsed + Sleep) return;
        MdnsLog.Slept(_logger, MdnsTimes.Max(elapsed, wall));
        Interlocked.Exchange(ref _rescan, 1);
        _core.Reconfirm(now.Elapsed);
    }

    private void Report()
    {
        DiscoveryEvent[] events = [.. _core.Events];
        _core.Events.Clear();
        foreach (DiscoveryEvent observation in events)
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
    }

    private void SendPackets()
    {
        MdnsPacket[] packets = [.. _core.Packets];
        _core.Packets.Clear();
        foreach (MdnsPacket packet in packets)
        {
            if (!_open.TryGetValue(packet.Link, out OpenLink? open)) continue;
            foreach (IMdnsPort port in open.Ports)
            {
                if (!(port.Family == AddressFamily.InterNetwork ? packet.OverIPv4 : packet.OverIPv6)) continue;
                if (port.Send(packet.Payload) is { } error) MdnsLog.SendFailed(_logger, open.Link.Name, port.Family, error);
            }
        }
    }

    // Brings the open ports in line with the links there are.
    private void Rescan()
    {
        IReadOnlyList<MdnsLink> links = _network.GetLinks(out TransportException? problem);
        HashSet<IMdnsPort> failed;
        lock (_failed) failed = [.. _failed];
        var renewed = new List<int>();
        foreach (OpenLink open in _open.Values.ToArray())
        {
            bool remains = links.Contains(open.Link);
            if (remains && !open.Ports.Any(failed.Contains)) continue;
            if (remains) renewed.Add(open.Link.Index); // what was missed while it failed
            _open.Remove(open.Link.Index);
            lock (_failed) _failed.UnionWith(open.Ports); // disposed after this
            MdnsLog.LinkGone(_logger, open.Link.Name);
        }

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
        if (_open.Count > 0) problem = null;
        else problem ??= new TransportException(TransportError.Unreachable,
            "mDNS cannot look for peers: no interface has an address of an enabled IP version; "
            + "enable both, or give the peer's address instead");
        if (problem is not null && problem.Message != _problem?.Message) MdnsLog.Waiting(_logger, problem.Message);
        if (problem is null && _problem is not null) MdnsLog.Resumed(_logger);
        Volatile.Write(ref _problem, problem);
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
        catch (Exception e)
        {
            // An interface that vanishes at this moment may show in many ways: it must not keep the others from being used.
            MdnsLog.PortUnusable(_logger, e.Message);
            problem ??= new TransportException(TransportError.Io, $"mDNS on {link.Name}: {e.Message}", e);
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

        foreach (IMdnsPort port in ports)
        {
            try
            {
                await port.DisposeAsync().ConfigureAwait(false);
            }
            catch (Exception e)
            {
                MdnsLog.PortFailed(_logger, port.Family, e);
            }
        }
    }
}
