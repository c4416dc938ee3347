using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using Makaretu.Dns;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>
/// Runs the package's <see cref="MulticastService"/>: a single loop owns it, the table and the calls of the sink; the package's events,
/// which come from any thread, only leave messages for it.
/// </summary>
internal sealed class MakaretuEngine : IAsyncDisposable
{
    /// <summary>Messages that wait for the loop; further ones are lost, as any datagram may be.</summary>
    private const int InboxCapacity = 512;

    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1); // timers count whole milliseconds
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RescanInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Never = TimeSpan.MaxValue / 2;
    private static readonly TimeSpan[] FirstIntervals = [TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(4)];

    private readonly MakaretuOptions _options;
    private readonly PeerId _self;
    private readonly IReadOnlyList<Multiaddr> _listenAddresses;
    private readonly Action<DiscoveryEvent> _sink;
    private readonly ILogger _logger;
    private readonly long _epoch;
    private readonly ServiceMessages _messages;
    private readonly Channel<(Message? Message, IPEndPoint? Source)> _inbox = // without message: only a reason to look around
        Channel.CreateBounded<(Message?, IPEndPoint?)>(new BoundedChannelOptions(InboxCapacity) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();

    // What follows is the loop's; until it runs, StartAsync's.
    private readonly PeerTable _peers;
    private readonly List<DiscoveryEvent> _events = [];
    private MulticastService? _service;
    private UsedInterfaces? _interfaces;
    private Message? _announcement;
    private int _announcementsLeft;
    private int _asked;
    private TimeSpan _announceAt = Never, _askAt = Never, _answerAt = Never, _rescanAt, _answered = -Never;
    private Task _running = Task.CompletedTask;

    public MakaretuEngine(MakaretuOptions options, PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink)
    {
        _options = options;
        _self = self;
        _listenAddresses = listenAddresses;
        _sink = sink;
        _logger = options.LoggerFactory.CreateLogger("FastShare.Transport.Discovery");
        _epoch = options.TimeProvider.GetTimestamp();
        _messages = new ServiceMessages(options.ServiceName);
        _peers = new PeerTable(self, options.MaxPeers, options.MaxAddressesPerPeer);
    }

    private TimeSpan Now => _options.TimeProvider.GetElapsedTime(_epoch);

    // Always comes: the interfaces are looked at again and again.
    private TimeSpan Due => new[] { _announceAt, _askAt, _answerAt, _rescanAt, _peers.Due }.Min();

    /// <summary>Opens the sockets and starts the loop. Where no interface is up it waits for one.</summary>
    /// <exception cref="TransportException">There are interfaces, but the package cannot use them.</exception>
    public void Start()
    {
        Rescan(isStart: true);
        _running = Task.Run(RunAsync);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        using ITimer wake = _options.TimeProvider.CreateTimer(
            _ => _inbox.Writer.TryWrite(default), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        try
        {
            do
            {
                try
                {
                    Step();
                }
                catch (Exception e)
                {
                    MakaretuLog.Unexpected(_logger, e);
                }

                Report();
                TimeSpan delay = Due - Now;
                wake.Change(delay > Shortest ? delay : Shortest, Timeout.InfiniteTimeSpan);
            }
            while (await _inbox.Reader.WaitToReadAsync(_stop.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // disposal
        }

        try
        {
            if (_announcement is not null) _service?.SendAnswer(_messages.Goodbye(), checkDuplicate: false);
            Close();
        }
        catch (Exception e)
        {
            MakaretuLog.Unexpected(_logger, e);
        }
    }

    private void Step()
    {
        for (int i = 0; i < InboxCapacity && _inbox.Reader.TryRead(out (Message? Message, IPEndPoint? Source) received); i++)
        {
            if (received.Message is not null) Receive(received.Message, received.Source!);
        }

        _peers.Advance(Now, _events);
        if (_rescanAt <= Now) Rescan(isStart: false);
        // What is next is set first: should sending fail, it does not fail again at once.
        if (_askAt <= Now)
        {
            _askAt = Now + (_asked < FirstIntervals.Length ? FirstIntervals[_asked] : TimeSpan.FromSeconds(30 + (Random.Shared.NextDouble() * 30)));
            // The first query lists nobody as known, so that all tell everything.
            _service?.SendQuery(_messages.Query(_asked++ == 0 ? [] : _peers.Known(Now)));
        }

        if (_announceAt <= Now)
        {
            _announceAt = --_announcementsLeft > 0 ? Now + Second : Never;
            Announce();
        }

        if (_answerAt <= Now) Announce();
    }

    private void Announce()
    {
        _answerAt = Never;
        _answered = Now;
        if (_announcement is not null) _service?.SendAnswer(_announcement, checkDuplicate: false);
    }

    private void Receive(Message message, IPEndPoint source)
    {
        if (message.IsQuery)
        {
            // By multicast whoever asks, after 20 to 120 ms and at most once a second (RFC 6762, 6).
            TimeSpan due = Now + TimeSpan.FromMilliseconds(20 + (Random.Shared.NextDouble() * 100));
            if (due < _answered + Second) due = _answered + Second;
            if (_announcement is not null && _answerAt == Never && _messages.AsksForUs(message)) _answerAt = due;
            return;
        }

        var goodbyes = new List<string>();
        foreach (Sighting sighting in _messages.Read(message, source, _interfaces!.IsOwn(source.Address), goodbyes))
            _peers.Saw(Now, sighting, _events);
        foreach (string instance in goodbyes) _peers.Left(Now, instance);
    }

    private void Report()
    {
        foreach (DiscoveryEvent observation in _events)
        {
            if (_stop.IsCancellationRequested) break;
            try
            {
                _sink(observation);
            }
            catch (Exception e)
            {
                MakaretuLog.SinkThrew(_logger, e);
            }
        }

        _events.Clear();
    }

    // The package looks at the interfaces when it starts (and on Windows again when they change): elsewhere it is started anew.
    private void Rescan(bool isStart)
    {
        _rescanAt = Now + RescanInterval;
        var interfaces = new UsedInterfaces(_options);
        if (_interfaces is not null && interfaces.SameAs(_interfaces)) return;
        _interfaces = interfaces;
        Close();
        if (!interfaces.Any)
        {
            MakaretuLog.Waiting(_logger);
            _announcement = null;
            _askAt = _announceAt = _answerAt = Never;
            return;
        }

        List<IPEndPoint> endpoints = interfaces.Reachable(_listenAddresses);
        if (!isStart) MakaretuLog.Restarted(_logger, endpoints.Count);
        Open();
        _announcement = _messages.Announcement(_self, endpoints);
        _announcementsLeft = 2; // RFC 6762, 8.3
        _asked = 0;
        _announceAt = _announcement is null ? Never : Now;
        _askAt = Now + TimeSpan.FromMilliseconds(20 + (Random.Shared.NextDouble() * 100));
    }

    private void Open()
    {
        bool opened = false;
        var service = new MulticastService(candidates => UsedInterfaces.Filter(candidates, _options))
        {
            UseIpv4 = _options.UseIPv4 && Socket.OSSupportsIPv4,
            UseIpv6 = _options.UseIPv6 && Socket.OSSupportsIPv6,
            IgnoreDuplicateMessages = false, // the table knows what is new; what is repeated says that it still holds
        };
        service.QueryReceived += Received;
        service.AnswerReceived += Received;
        service.NetworkInterfaceDiscovered += (_, _) => opened = true;
        service.Start(); // logs what goes wrong and does not tell; but it raises the event above only where all went well
        if (!opened)
        {
            service.Dispose();
            _interfaces = null; // try again at the next look
            throw new TransportException(TransportError.Io,
                "Makaretu.Dns.Multicast could not open its sockets (UDP port 5353): another program may keep the port for itself, or the "
                + "system does not allow it; give the peer's address instead (…/ip4/ADDRESS/tcp/PORT/p2p/ID)");
        }

        _service = service;
    }

    private void Close()
    {
        _service?.Dispose();
        _service = null;
    }

    private void Received(object? sender, MessageEventArgs received)
    {
        if (received is { Message: not null, RemoteEndPoint: not null }) _inbox.Writer.TryWrite((received.Message, received.RemoteEndPoint));
    }
}
