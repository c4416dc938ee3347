using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Discovery.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>Interfaces that come and go, and refuse to be used, at a test's will. Thread-safe.</summary>
internal sealed class FakeMdnsNetwork : IMdnsNetwork
{
    /// <summary>How long to wait for what comes at once unless something is broken.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly List<FakeMdnsPort> _ports = [];
    private readonly SemaphoreSlim _opened = new(0);
    private MdnsLink[] _links = [];
    private Action? _changed;

    public Func<AddressFamily, bool> Refuse { get; set; } = _ => false;

    /// <summary>Thrown by the next call that asks for the links, tries to open a port, or sends; then null again.</summary>
    public Exception? ThrowWhenListing, ThrowWhenOpening, ThrowWhenSending;

    /// <summary>What there is to say where no link is set.</summary>
    public TransportException? Problem { get; set; }

    public int Watchers => _changed is null ? 0 : 1;

    public IReadOnlyList<FakeMdnsPort> Ports
    {
        get
        {
            lock (_gate) return [.. _ports];
        }
    }

    public void Set(params MdnsLink[] links) => Volatile.Write(ref _links, links);

    public void Changed() => _changed!();

    public async Task<FakeMdnsPort> OpenedAsync(string name, FakeMdnsPort? after = null)
    {
        while (true)
        {
            if (Ports.FirstOrDefault(p => p.Link.Name == name && p != after) is { } port) return port;
            Assert.True(await _opened.WaitAsync(Patience), "no port was opened");
        }
    }

    public IReadOnlyList<MdnsLink> GetLinks(out TransportException? problem)
    {
        ThrowOnce(ref ThrowWhenListing);
        MdnsLink[] links = Volatile.Read(ref _links);
        problem = links.Length == 0 ? Problem : null;
        return links;
    }

    public IMdnsPort Open(MdnsLink link, AddressFamily family, IPAddress localAddress, IMdnsListener listener)
    {
        ThrowOnce(ref ThrowWhenOpening);
        if (Refuse(family)) throw new TransportException(TransportError.AccessDenied, "refused by a test");
        var port = new FakeMdnsPort(this, link, family, listener);
        lock (_gate) _ports.Add(port);
        _opened.Release();
        return port;
    }

    public IDisposable Watch(Action changed)
    {
        _changed = changed;
        return new Subscription(this);
    }

    internal static void ThrowOnce(ref Exception? exception)
    {
        if (Interlocked.Exchange(ref exception, null) is { } thrown) throw thrown;
    }

    private sealed class Subscription(FakeMdnsNetwork network) : IDisposable
    {
        public void Dispose() => network._changed = null;
    }
}

/// <summary>A port that keeps what is sent and receives what a test gives it.</summary>
internal sealed class FakeMdnsPort(FakeMdnsNetwork network, MdnsLink link, AddressFamily family, IMdnsListener listener) : IMdnsPort
{
    private readonly SemaphoreSlim _sending = new(0);
    private readonly ConcurrentQueue<DnsMessage> _unread = new();

    public MdnsLink Link => link;

    public AddressFamily Family => family;

    public ConcurrentQueue<DnsMessage> Sent { get; } = new();

    public TaskCompletionSource Disposed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Receive(string source, byte[] datagram) => listener.Received(link, IPEndPoint.Parse(source), datagram);

    public void Fail() => listener.Failed(this, new SocketException((int)SocketError.NetworkDown));

    /// <summary>What was sent before is not looked at by <see cref="NextAsync"/>.</summary>
    public void Forget() => _unread.Clear();

    /// <summary>Lets time pass until a message of that kind has been sent.</summary>
    public async Task<DnsMessage> NextAsync(FakeTimeProvider time, Func<DnsMessage, bool> matches)
    {
        for (int i = 0; i < 400; i++)
        {
            if (_unread.TryDequeue(out DnsMessage? message))
            {
                if (matches(message)) return message;
                continue;
            }

            time.Advance(TimeSpan.FromMilliseconds(50));
            await _sending.WaitAsync(TimeSpan.FromMilliseconds(10));
        }

        throw new TimeoutException("nothing of that kind was sent");
    }

    public SocketError? Send(ReadOnlySpan<byte> datagram)
    {
        FakeMdnsNetwork.ThrowOnce(ref network.ThrowWhenSending);
        Assert.True(DnsMessageReader.TryRead(datagram.ToArray(), out DnsMessage? message));
        Sent.Enqueue(message);
        _unread.Enqueue(message);
        _sending.Release();
        return Disposed.Task.IsCompleted ? SocketError.Shutdown : null;
    }

    public ValueTask DisposeAsync()
    {
        Disposed.TrySetResult();
        return ValueTask.CompletedTask;
    }
}
