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

    private async Task<MdnsDiscovery> StartAsync(Action<DiscoveryEvent>? sink = null)
    {
        var discovery = new MdnsDiscovery(new MdnsOptions { TimeProvider = _time }, _network);
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

    private static MdnsLink Link(int index, string name, string address) =>
        new(index, name, false, [new LinkAddress(IPAddress.Parse(address), 24)]);
}
