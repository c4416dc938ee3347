using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>The loop around the core, with interfaces that come, go and fail at a test's will.</summary>
public sealed class MdnsEngineTests
{
    private static readonly MdnsLink Wired = Link(2, "eth0", "10.0.0.1");
    private static readonly MdnsLink Wireless = Link(3, "wlan0", "10.1.0.1");
    private static readonly TimeSpan Patience = FakeMdnsNetwork.Patience;

    private readonly FakeTimeProvider _time = new();
    private readonly FakeMdnsNetwork _network = new();
    private readonly ConcurrentQueue<DiscoveryEvent> _events = new();
    private readonly SemaphoreSlim _reported = new(0);

    private async Task<MdnsDiscovery> StartAsync(Action<DiscoveryEvent>? sink = null, TimeProvider? time = null)
    {
        var discovery = new MdnsDiscovery(new MdnsOptions { TimeProvider = time ?? _time }, _network);
        await discovery.StartAsync(
            Peers.Id(1), [Multiaddr.Parse("/ip4/0.0.0.0/tcp/4001")], sink ?? Report, TestContext.Current.CancellationToken);
        return discovery;
    }

    private void Report(DiscoveryEvent observation)
    {
        _events.Enqueue(observation);
        _reported.Release();
    }

    private async Task ReportedAsync() => Assert.True(await _reported.WaitAsync(Patience));

    [Fact]
    public async Task What_a_port_receives_is_reported_and_expires_with_time()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        _network.Ports.Single().Receive("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(7), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        await ReportedAsync();
        Assert.Equal((DiscoveryEventKind.Found, Peers.Id(7)), (_events.Last().Kind, _events.Last().Peer));

        // The loop may set its alarm only after the first step: then it is due at a later one.
        for (int i = 0; i < 20 && !await _reported.WaitAsync(TimeSpan.FromMilliseconds(50)); i++) _time.Advance(TimeSpan.FromSeconds(121));
        Assert.Equal(DiscoveryEventKind.Expired, _events.Last().Kind);
    }

    [Fact]
    public async Task Each_link_sends_its_own_addresses()
    {
        _network.Set(Wired, Wireless);
        await using MdnsDiscovery discovery = await StartAsync();
        foreach (FakeMdnsPort port in _network.Ports)
        {
            DnsMessage response = await port.NextAsync(_time, m => m.IsResponse);
            Assert.Equal(port.Link.Addresses[0].Address, response.Additionals.Single(a => a.Type == DnsType.A).ToIPAddress());
        }
    }

    [Fact]
    public async Task An_interface_that_comes_is_used_and_one_that_goes_is_closed()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort first = _network.Ports.Single();
        _network.Set(Wireless);
        _network.Changed();
        await first.Disposed.Task.WaitAsync(Patience);
        FakeMdnsPort second = _network.Ports.Single(p => p != first);
        Assert.Equal("wlan0", second.Link.Name);
        await second.NextAsync(_time, m => !m.IsResponse);
    }

    [Fact]
    public async Task An_interface_that_comes_unannounced_is_found_by_polling()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        _network.Set(Wired, Wireless);
        _time.Advance(TimeSpan.FromSeconds(16));
        await _network.OpenedAsync("wlan0");
        Assert.False(_network.Ports.First().Disposed.Task.IsCompleted);
    }

    [Fact]
    public async Task All_interfaces_may_go_and_come_back()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort first = _network.Ports.Single();
        _network.Set();
        _network.Changed();
        await first.Disposed.Task.WaitAsync(Patience);
        _network.Set(Wired);
        _network.Changed();
        FakeMdnsPort second = await _network.OpenedAsync("eth0", after: first);
        await second.NextAsync(_time, m => m.IsResponse);
    }

    [Fact]
    public async Task A_port_that_fails_is_opened_anew()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort first = _network.Ports.Single();
        first.Fail();
        await first.Disposed.Task.WaitAsync(Patience);
        FakeMdnsPort second = await _network.OpenedAsync("eth0", after: first);
        second.Receive("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(7), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        await ReportedAsync();
    }

    [Fact]
    public async Task A_family_that_cannot_be_used_at_first_is_tried_again_and_announced_to()
    {
        MdnsLink both = Wired with { Addresses = [.. Wired.Addresses, new LinkAddress(IPAddress.Parse("fe80::1"), 64)] };
        _network.Set(both);
        _network.Refuse = family => family == AddressFamily.InterNetworkV6;
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort first = _network.Ports.Single();
        _network.Refuse = _ => false;
        _time.Advance(TimeSpan.FromSeconds(16));
        FakeMdnsPort second = await _network.OpenedAsync("eth0", after: first);
        Assert.Equal(AddressFamily.InterNetworkV6, second.Family);
        await second.NextAsync(_time, m => !m.IsResponse);
    }

    [Fact]
    public async Task A_start_without_any_usable_interface_fails_with_the_cause()
    {
        _network.Set(Wired);
        _network.Refuse = _ => true;
        await using var discovery = new MdnsDiscovery(new MdnsOptions { TimeProvider = _time }, _network);
        TransportException error = await Assert.ThrowsAsync<TransportException>(
            async () => await discovery.StartAsync(Peers.Id(1), [], Report, TestContext.Current.CancellationToken));
        Assert.Equal(TransportError.AccessDenied, error.Error);
    }

    [Fact]
    public async Task A_start_without_any_interface_waits_for_one_and_says_so()
    {
        _network.Problem = new TransportException(TransportError.Unreachable, "no interface of a test is up");
        await using MdnsDiscovery discovery = await StartAsync();
        Assert.Equal(_network.Problem, discovery.Problem);
        _network.Set(Wired);
        _network.Changed();
        FakeMdnsPort port = await _network.OpenedAsync("eth0");
        await port.NextAsync(_time, m => m.IsResponse); // announced
        Assert.Null(discovery.Problem);
        port.Receive("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(7), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        await ReportedAsync();

        _network.Set();
        _network.Changed();
        await port.Disposed.Task.WaitAsync(Patience);
        Assert.Equal(_network.Problem, discovery.Problem);
    }

    [Fact]
    public async Task A_family_that_is_not_usable_yet_is_waited_for()
    {
        _network.Set(Wired);
        _network.ThrowWhenOpening = new TransportException(TransportError.Unreachable, "a fresh address");
        await using MdnsDiscovery discovery = await StartAsync();
        Assert.Equal("a fresh address", discovery.Problem?.Message);
        _time.Advance(TimeSpan.FromSeconds(16));
        await _network.OpenedAsync("eth0");
    }

    [Theory]
    [InlineData("list")]
    [InlineData("open")]
    [InlineData("send")]
    public async Task Unexpected_exceptions_are_survived(string where)
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort port = _network.Ports.Single();
        var unexpected = new InvalidOperationException("a test's surprise");
        if (where == "list") _network.ThrowWhenListing = unexpected;
        if (where == "open") _network.ThrowWhenOpening = unexpected;
        if (where == "send") _network.ThrowWhenSending = unexpected;
        _network.Set(Wired, Wireless);
        _network.Changed();
        FakeMdnsPort second;
        for (int i = 0; (second = _network.Ports.Last()) == port; i++)
        {
            Assert.True(i < 20_000, "never went on");
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        await second.NextAsync(_time, m => m.IsResponse);
        port.Receive("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(7), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        for (int i = 0; !_events.Any(); i++)
        {
            Assert.True(i < 20_000, "never reported");
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        Assert.Null(where == "list" ? _network.ThrowWhenListing : where == "open" ? _network.ThrowWhenOpening : _network.ThrowWhenSending);
    }

    [Fact]
    public async Task After_the_machine_slept_everyone_is_asked_anew_and_who_does_not_answer_expires_in_ten_seconds()
    {
        _network.Set(Wired);
        var time = new SleepingTime(_time);
        await using MdnsDiscovery discovery = await StartAsync(time: time);
        FakeMdnsPort port = _network.Ports.Single();
        byte[] stays = MdnsPackets.Announcement(Peers.Id(7), "stays", 4500, "/ip4/10.0.0.7/tcp/1");
        port.Receive("10.0.0.7:5353", stays);
        await ReportedAsync();
        port.Receive("10.0.0.8:5353", MdnsPackets.Announcement(Peers.Id(8), "left", 4500, "/ip4/10.0.0.8/tcp/1"));
        await ReportedAsync();

        for (int i = 0; i < 3; i++) await port.NextAsync(_time, m => !m.IsResponse); // the first queries are over

        port.Forget();
        time.Sleep(TimeSpan.FromHours(3));
        _time.Advance(TimeSpan.FromSeconds(15));
        DnsMessage query = await port.NextAsync(_time, m => !m.IsResponse);
        Assert.Empty(query.Answers); // so that all answer
        port.Receive("10.0.0.7:5353", stays);
        await port.NextAsync(_time, m => m.IsResponse); // and announced, as the others may have given this node up
        for (int i = 0; _events.Count < 3; i++)
        {
            Assert.True(i < 20_000, "never expired");
            _time.Advance(TimeSpan.FromMilliseconds(20));
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        Assert.Equal((DiscoveryEventKind.Expired, Peers.Id(8)), (_events.Last().Kind, _events.Last().Peer));
    }

    [Fact]
    public async Task Where_sleep_counts_as_elapsed_time_what_expired_meanwhile_is_asked_for_at_once()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort port = _network.Ports.Single();
        byte[] stays = MdnsPackets.Announcement(Peers.Id(7), "stays", 120, "/ip4/10.0.0.7/tcp/1");
        port.Receive("10.0.0.7:5353", stays);
        await ReportedAsync();
        for (int i = 0; i < 3; i++) await port.NextAsync(_time, m => !m.IsResponse);
        port.Forget();
        _time.Advance(TimeSpan.FromHours(3));
        await ReportedAsync();
        Assert.Equal(DiscoveryEventKind.Expired, _events.Last().Kind);
        await port.NextAsync(_time, m => !m.IsResponse);
        port.Receive("10.0.0.7:5353", stays);
        await ReportedAsync();
        Assert.Equal(DiscoveryEventKind.Found, _events.Last().Kind);
        await port.NextAsync(_time, m => m.IsResponse);
    }

    [Fact]
    public async Task A_sink_that_throws_ends_nothing()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync(observation =>
        {
            Report(observation);
            throw new InvalidOperationException("a test's sink");
        });
        for (int i = 0; i < 2; i++)
        {
            byte[] packet = MdnsPackets.Announcement(Peers.Id(7 + i), "x" + i, 120, "/ip4/10.0.0.7/tcp/1");
            _network.Ports.Single().Receive("10.0.0.7:5353", packet);
            await ReportedAsync();
        }

        Assert.Equal([Peers.Id(7), Peers.Id(8)], _events.Select(e => e.Peer));
    }

    [Fact]
    public async Task The_end_says_goodbye_closes_the_ports_and_silences_the_sink()
    {
        _network.Set(Wired);
        MdnsDiscovery discovery = await StartAsync();
        FakeMdnsPort port = _network.Ports.Single();
        await Task.WhenAll(discovery.DisposeAsync().AsTask(), discovery.DisposeAsync().AsTask());
        DnsMessage last = port.Sent.Last();
        Assert.True(last.IsResponse);
        Assert.Equal(0u, Assert.Single(last.Answers).Ttl);
        Assert.True(port.Disposed.Task.IsCompleted);
        Assert.Equal(0, _network.Watchers);
        port.Receive("10.0.0.7:5353", MdnsPackets.Announcement(Peers.Id(7), "x", 120, "/ip4/10.0.0.7/tcp/1"));
        _time.Advance(TimeSpan.FromMinutes(10));
        Assert.Empty(_events);
        await Assert.ThrowsAsync<ObjectDisposedException>(
            async () => await discovery.StartAsync(Peers.Id(1), [], Report, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task The_end_may_come_at_any_moment()
    {
        _network.Set(Wired);
        for (int i = 0; i < 500; i++)
        {
            MdnsDiscovery discovery = await StartAsync();
            Thread.SpinWait(i * 50); // the loop is somewhere else each time
            await discovery.DisposeAsync().AsTask().WaitAsync(Patience, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_second_start_is_refused()
    {
        _network.Set(Wired);
        await using MdnsDiscovery discovery = await StartAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(
            async () => await discovery.StartAsync(Peers.Id(1), [], Report, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("")]
    [InlineData("_p2p..local")]
    public void Options_refuse_impossible_service_names(string name) =>
        Assert.Throws<ArgumentException>(() => new MdnsOptions { ServiceName = name });

    [Fact]
    public void Options_refuse_impossible_limits()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new MdnsOptions { MaxPeers = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new MdnsOptions { TimeToLive = TimeSpan.FromSeconds(1) });
        Assert.Throws<ArgumentOutOfRangeException>(() => new MdnsOptions { TimeToLive = TimeSpan.FromDays(1) });
    }

    // As on Linux and macOS: the wall clock goes on while the machine sleeps, elapsed time and timers do not.
    private sealed class SleepingTime(FakeTimeProvider awake) : TimeProvider
    {
        private long _slept;

        public override long TimestampFrequency => awake.TimestampFrequency;

        public void Sleep(TimeSpan duration) => Interlocked.Add(ref _slept, duration.Ticks);

        public override DateTimeOffset GetUtcNow() => awake.GetUtcNow().AddTicks(Interlocked.Read(ref _slept));

        public override long GetTimestamp() => awake.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            awake.CreateTimer(callback, state, dueTime, period);
    }

    private static MdnsLink Link(int index, string name, string address) =>
        new(index, name, false, [new LinkAddress(IPAddress.Parse(address), 24)]);
}
