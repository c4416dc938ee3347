using System.Collections.Concurrent;
using System.Diagnostics;
using FastShare.Transport;
using FastShare.Transport.Dialing;
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
    private readonly ConcurrentDictionary<PeerId, List<DialCandidate>> _known = new();
    private readonly ConcurrentQueue<PeerId> _dialing = new();
    private int _made;

    public ScriptedDials(ConnectionLimits? limits = null, Func<double>? random = null)
    {
        var table = new PendingConnections<string>(c => !_dead.ContainsKey(c), limits, random is null ? null : new RedialBackoff(random));
        Dialer = new Dialer<string>(this, table, Time, ConnectTimeout);
    }

    public FakeTimeProvider Time { get; } = new();

    public Dialer<string> Dialer { get; }

    public IReadOnlyList<Multiaddr> FailedAddresses => [.. _failedAddresses];

    public IReadOnlyList<TransportException> Failures => [.. _failures];

    public IReadOnlyList<string> Discarded => [.. _discarded];

    /// <summary>Peers whose dials got under way, in that order.</summary>
    public IReadOnlyList<PeerId> Dialed => [.. _dialing];

    /// <summary>The policy before a dial; throws to veto.</summary>
    public Action<PeerId>? Veto { get; set; }

    /// <summary>The policy on a ready connection; throws to deny.</summary>
    public Action<string>? Deny { get; set; }

    /// <summary>Addresses known for a peer without anybody giving them.</summary>
    public void Know(PeerId peer, params DialCandidate[] candidates) => _known[peer] = [.. candidates];

    public Task<string> ConnectAsync(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken) =>
        ConnectAsync(peer, DialCondition.DisconnectedAndNotDialing, candidates, cancellationToken);

    public Task<string> ConnectAsync(
        PeerId peer, DialCondition condition, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken) =>
        Dialer.ConnectAsync(peer, new DialRequest(condition, candidates, DialTimeout), cancellationToken).AsTask();

    public Task<string> ConnectPatientlyAsync(
        PeerId peer, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken) =>
        Dialer.ConnectAsync(
            peer, new DialRequest(DialCondition.DisconnectedAndNotDialing, candidates, DialTimeout) { IsPatient = true }, cancellationToken)
            .AsTask();

    public Task<string> ConnectLaneAsync(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken) =>
        Dialer.ConnectLaneAsync(peer, candidates, DialTimeout, cancellationToken).AsTask();

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

    /// <summary>Waits until that many dials in all are under way, or were, or stand in line.</summary>
    public async Task WhenDialedOrInLineAsync(int dials)
    {
        await Eventually.BecomesTrueAsync(() => Dialed.Count + Dialer.Table.InLine >= dials, "every dial has a place");
    }

    /// <summary>The first failure the dialer tells of, which it does after it has told those who waited for the dial.</summary>
    public async Task<TransportException> FirstFailureAsync()
    {
        await Eventually.BecomesTrueAsync(() => !_failures.IsEmpty, "a failed dial is told");
        return Failures[0];
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

    public IReadOnlyCollection<DialCandidate> KnownAddresses(PeerId peer) => _known.GetValueOrDefault(peer) ?? [];

    public void ThrowIfVetoed(PeerId peer) => Veto?.Invoke(peer);

    public void ThrowIfDenied(string connection) => Deny?.Invoke(connection);

    public Activity? Dialing(PeerId peer, IReadOnlyList<Multiaddr> addresses)
    {
        _dialing.Enqueue(peer);
        return null;
    }

    public void DialEnded(PeerId peer, DialOutcome outcome, TransportException? error, TimeSpan elapsed, Activity? activity)
    {
    }

    public void DialFailed(PeerId peer, TransportException error) => _failures.Enqueue(error);

    public void AddressWorked(PeerId peer, Multiaddr address)
    {
    }

    public void AddressFailed(PeerId peer, Multiaddr address) => _failedAddresses.Enqueue(address);

    public void Established(string connection, Establishment made)
    {
        _established.TrySetResult(made.Count);
        _established = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public ValueTask DiscardAsync(string connection, TransportException reason)
    {
        _discarded.Enqueue(connection);
        return default;
    }

    public ValueTask DisposeAsync() => Dialer.DisposeAsync();
}
