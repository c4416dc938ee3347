using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Discovery;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>Real sockets, on the loopback interface only; a service name of its own for each test.</summary>
public sealed class MdnsLoopbackTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30); // what is lost is asked for again within 7 s
    private static readonly IPAddress Group = IPAddress.Parse("224.0.0.251");

    private sealed class Node : IAsyncDisposable
    {
        private readonly PeerIdentity _identity = PeerIdentity.Generate();
        private readonly MdnsDiscovery _discovery;
        private readonly ConcurrentDictionary<PeerId, TaskCompletionSource<IReadOnlyList<Multiaddr>>> _found = new();
        private readonly ConcurrentDictionary<PeerId, TaskCompletionSource> _expired = new();

        public Node(string service, bool useIPv6 = true) =>
            _discovery = new MdnsDiscovery(new MdnsOptions { ServiceName = service, Interfaces = ["lo"], UseIPv6 = useIPv6 });

        public PeerId Id => _identity.PeerId;

        public ConcurrentQueue<DiscoveryEvent> Events { get; } = new();

        public ValueTask StartAsync(params string[] listen) =>
            _discovery.StartAsync(Id, [.. listen.Select(Multiaddr.Parse)], OnEvent, TestContext.Current.CancellationToken);

        public Task<IReadOnlyList<Multiaddr>> Found(Node other) =>
            _found.GetOrAdd(other.Id, _ => NewSource<IReadOnlyList<Multiaddr>>()).Task.WaitAsync(Patience);

        public Task Expired(Node other) =>
            _expired.GetOrAdd(other.Id, _ => new(TaskCreationOptions.RunContinuationsAsynchronously)).Task.WaitAsync(Patience);

        public async ValueTask DisposeAsync()
        {
            await _discovery.DisposeAsync();
            _identity.Dispose();
        }

        private void OnEvent(DiscoveryEvent observation)
        {
            Events.Enqueue(observation);
            if (observation.Kind == DiscoveryEventKind.Found)
                _found.GetOrAdd(observation.Peer, _ => NewSource<IReadOnlyList<Multiaddr>>()).TrySetResult(observation.Addresses);
            else
                _expired.GetOrAdd(observation.Peer, _ => new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
        }

        private static TaskCompletionSource<T> NewSource<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [Fact]
    public async Task Two_nodes_on_the_loopback_interface_find_each_other_and_hear_goodbyes()
    {
        string service = UniqueService();
        await using var a = new Node(service);
        await using var b = new Node(service);
        await a.StartAsync("/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4002");
        await b.StartAsync("/ip4/127.0.0.1/tcp/5001");

        IReadOnlyList<Multiaddr> ofB = await a.Found(b);
        IReadOnlyList<Multiaddr> ofA = await b.Found(a);

        Assert.Equal(Multiaddr.Parse("/ip4/127.0.0.1/tcp/5001").WithPeerId(b.Id), Assert.Single(ofB));
        Assert.Equal(Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001").WithPeerId(a.Id), ofA[0]);
        Assert.Equal(Socket.OSSupportsIPv6, ofA.Contains(Multiaddr.Parse("/ip6/::1/tcp/4002").WithPeerId(a.Id)));
        Assert.DoesNotContain(a.Events, e => e.Peer == a.Id);

        await b.DisposeAsync();
        await a.Expired(b);
        int count = b.Events.Count;
        await a.DisposeAsync();
        Assert.Equal(count, b.Events.Count);
    }

    [Fact]
    public async Task Discovery_over_IPv4_alone()
    {
        string service = UniqueService();
        await using var a = new Node(service, useIPv6: false);
        await using var b = new Node(service, useIPv6: false);
        await a.StartAsync("/ip4/0.0.0.0/tcp/4001");
        await b.StartAsync("/ip4/0.0.0.0/tcp/5001");
        Assert.Equal([Multiaddr.Parse("/ip4/127.0.0.1/tcp/5001").WithPeerId(b.Id)], await a.Found(b));
        Assert.Equal([Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001").WithPeerId(a.Id)], await b.Found(a));
    }

    [Fact]
    public async Task Works_beside_another_program_that_holds_port_5353()
    {
        using var other = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        other.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        other.Bind(new IPEndPoint(IPAddress.Any, MdnsCore.Port));
        other.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(Group, IPAddress.Loopback));

        string service = UniqueService();
        await using var a = new Node(service);
        await using var b = new Node(service);
        await a.StartAsync("/ip4/127.0.0.1/tcp/4001");
        await b.StartAsync("/ip4/127.0.0.1/tcp/5001");
        await a.Found(b);
        await b.Found(a);
    }

    [Fact]
    public async Task A_query_from_an_ephemeral_port_is_answered_by_multicast_and_not_to_the_asker()
    {
        string service = UniqueService();
        using var observer = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        observer.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        observer.Bind(new IPEndPoint(IPAddress.Any, MdnsCore.Port));
        observer.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(Group, IPAddress.Loopback));

        await using var node = new Node(service);
        await node.StartAsync("/ip4/127.0.0.1/tcp/4001");

        using var asker = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        asker.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        asker.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastInterface, IPAddress.Loopback.GetAddressBytes());
        var query = new DnsMessageWriter(isResponse: false, 512);
        query.TryAddQuestion(MdnsServiceNames.Enumeration, DnsType.Ptr); // is answered only when asked, unlike what is announced
        await asker.SendToAsync(query.ToArray(), new IPEndPoint(Group, MdnsCore.Port));

        using var patience = new CancellationTokenSource(Patience);
        byte[] buffer = new byte[9000];
        DnsRecord answer;
        do
        {
            int length = await observer.ReceiveAsync(buffer, SocketFlags.None, patience.Token);
            bool one = DnsMessageReader.TryRead(buffer.AsMemory(0, length), out DnsMessage? message)
                && message.IsResponse && message.Answers.Count == 1;
            answer = one ? message!.Answers[0] : DnsRecord.Ptr(DnsName.Parse("other"), DnsName.Parse("other"), 1);
        }
        while (!(answer.Name.Equals(MdnsServiceNames.Enumeration) && Equals(answer.Target, DnsName.Parse(service))));
        Assert.Equal(0, asker.Available);
    }

    [Fact]
    public async Task Nothing_leaves_the_loopback_interface()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("counts packets by /proc/net");
        // Multicast sent on an interface counts in its group memberships' device only; no other device may have joined for this port.
        string service = UniqueService();
        await using var node = new Node(service);
        string[] before = JoinedDevices();
        await node.StartAsync("/ip4/0.0.0.0/tcp/4001");
        Assert.Equal(before.Append("lo").Distinct().Order(), JoinedDevices().Append("lo").Distinct().Order());
    }

    [Fact]
    public async Task An_unknown_interface_is_named_with_those_there_are()
    {
        await using var discovery = new MdnsDiscovery(new MdnsOptions { Interfaces = ["no-such-card"] });
        using PeerIdentity identity = PeerIdentity.Generate();
        TransportException error = await Assert.ThrowsAsync<TransportException>(
            async () => await discovery.StartAsync(identity.PeerId, [], _ => { }, TestContext.Current.CancellationToken));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
        Assert.Contains("no-such-card", error.Message, StringComparison.Ordinal);
    }

    // The devices on which this host is in 224.0.0.251 (FB0000E0 in the byte order of /proc/net/igmp).
    private static string[] JoinedDevices()
    {
        var devices = new List<string>();
        string device = "";
        foreach (string line in File.ReadLines("/proc/net/igmp").Skip(1))
        {
            string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (!char.IsWhiteSpace(line[0])) device = words[1];
            else if (words[0] == "FB0000E0") devices.Add(device);
        }

        return [.. devices];
    }

    private static string UniqueService() => $"_fs{Guid.NewGuid():N}._udp.local";
}
