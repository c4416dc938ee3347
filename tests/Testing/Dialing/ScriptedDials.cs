using System.Collections.Concurrent;
using FastShare.Transport;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Testing.Dialing;

/// <summary>
/// A dialer over a network that does what a test says, address by address, in virtual time. Connections are texts: the address and
/// a number.
/// </summary>
internal sealed class ScriptedDials : IDialHost<string>, IAsyncDisposable
{
    public static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(15);
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<Multiaddr, ScriptedAddress> _addresses = new();
    private readonly ConcurrentDictionary<string, bool> _dead = new();
    private readonly ConcurrentQueue<Multiaddr> _failedAddresses = new();
    private readonly ConcurrentQueue<TransportException> _failures = new();
    private readonly ConcurrentQueue<string> _discarded = new();
    private TaskCompletionSource<int> _established = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _made;

    public ScriptedDials()
    {
        Dialer = new Dialer<string>(this, new PendingConnections<string>(c => !_dead.ContainsKey(c)), Time, DialTimeout, ConnectTimeout);
    }

    public FakeTimeProvider Time { get; } = new();

    public Dialer<string> Dialer { get; }

    public IReadOnlyList<Multiaddr> FailedAddresses => [.. _failedAddresses];

    public IReadOnlyList<TransportException> Failures => [.. _failures];

    public IReadOnlyList<string> Discarded => [.. _discarded];

    public ScriptedAddress At(Multiaddr address) => _addresses.GetOrAdd(address, static a => new ScriptedAddress(a));

    /// <summary>The connection is over, and its owner has noticed.</summary>
    public void Lose(PeerId peer, string connection)
    {
        Kill(connection);
        Dialer.Table.Lost(peer, connection);
    }

    /// <summary>The connection is over, and its owner has not noticed yet.</summary>
    public void Kill(string connection) => _dead[connection] = true;

    /// <summary>Waits until that many callers wait for the peer's pending dial.</summary>
    public async Task WhenWaitingAsync(PeerId peer, int callers)
    {
        await Eventually.BecomesTrueAsync(() => Dialer.Table.WaiterCount(peer) >= callers, "all callers wait");
    }

    /// <summary>The number of connections to the peer when the next one is established.</summary>
    public Task<int> WhenEstablishedAsync() => _established.Task;

    public async ValueTask<IDuplexConnection> ConnectAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        ScriptedAddress script = At(address);
        await script.ConnectAsync(cancellationToken);
        return script;
    }

    public async ValueTask<string> UpgradeAsync(IDuplexConnection connection, PeerId peer, CancellationToken cancellationToken)
    {
        var script = (ScriptedAddress)connection;
        await script.UpgradeAsync(cancellationToken);
        return $"{script.RemoteAddress}#{Interlocked.Increment(ref _made)}";
    }

    public void Dialing(PeerId peer, IReadOnlyList<Multiaddr> addresses)
    {
    }

    public void DialFailed(PeerId peer, TransportException error) => _failures.Enqueue(error);

    public void AddressWorked(PeerId peer, Multiaddr address)
    {
    }

    public void AddressFailed(PeerId peer, Multiaddr address) => _failedAddresses.Enqueue(address);

    public void Established(string connection, int connectionsToPeer, bool isLane)
    {
        _established.TrySetResult(connectionsToPeer);
        _established = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public ValueTask DiscardAsync(string connection)
    {
        _discarded.Enqueue(connection);
        return default;
    }

    public ValueTask DisposeAsync() => Dialer.DisposeAsync();
}
