using System.Diagnostics;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>What a dialer needs from its swarm. All members are thread-safe.</summary>
internal interface IDialHost<TConnection>
    where TConnection : class
{
    /// <summary>Addresses known for the peer, this node's own left out, most promising first.</summary>
    IReadOnlyCollection<DialCandidate> KnownAddresses(PeerId peer);

    /// <summary>Asks the policy before a dial is started.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ConnectionDenied"/>.</exception>
    void ThrowIfVetoed(PeerId peer);

    /// <summary>Asks the policy about a connection whose peer is proved.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ConnectionDenied"/>.</exception>
    void ThrowIfDenied(TConnection connection);

    /// <summary>Makes a connection with the transport for <paramref name="address"/>.</summary>
    ValueTask<IDuplexConnection> ConnectAsync(Multiaddr address, CancellationToken cancellationToken);

    /// <summary>Secures and multiplexes a connection, within the upgrade's own deadline; takes ownership of it.</summary>
    ValueTask<TConnection> UpgradeAsync(IDuplexConnection connection, PeerId peer, CancellationToken cancellationToken);

    /// <summary>A dial got under way; <see cref="DialEnded"/> follows. Its attempts are part of the activity, if one is returned.</summary>
    Activity? Dialing(PeerId peer, IReadOnlyList<Multiaddr> addresses);

    /// <summary>A dial that had got under way ended, whichever way, after <see cref="DialFailed"/> where that is called.</summary>
    void DialEnded(PeerId peer, DialOutcome outcome, TransportException? error, TimeSpan elapsed, Activity? activity);

    /// <summary>A dial that had got under way failed, or was given up (<see cref="TransportError.Aborted"/>).</summary>
    void DialFailed(PeerId peer, TransportException error);

    /// <summary>An address led to the peer.</summary>
    void AddressWorked(PeerId peer, Multiaddr address);

    /// <summary>An address did not lead to the peer.</summary>
    void AddressFailed(PeerId peer, Multiaddr address);

    /// <summary>A connection was listed; it is to be run, and reported lost when it is over.</summary>
    void Established(TConnection connection, Establishment made);

    /// <summary>A ready connection is not wanted any more: to be closed at once.</summary>
    ValueTask DiscardAsync(TConnection connection, TransportException reason);
}

/// <summary>Carries out the steps of <see cref="PendingConnections{TConnection}"/>: one loop per dial. Thread-safe.</summary>
internal sealed class Dialer<TConnection> : IAsyncDisposable
    where TConnection : class
{
    private readonly IDialHost<TConnection> _host;
    private readonly TimeProvider _time;
    private readonly TimeSpan _connectTimeout;
    private readonly long _epoch;
    private readonly TaskTracker _loops = new();
    private readonly CancellationTokenSource _closing = new();

    public Dialer(IDialHost<TConnection> host, PendingConnections<TConnection> table, TimeProvider time, TimeSpan connectTimeout)
    {
        _host = host;
        Table = table;
        _time = time;
        _connectTimeout = connectTimeout;
        _epoch = time.GetTimestamp();
    }

    public PendingConnections<TConnection> Table { get; }

    /// <summary>Whether no dial is under way, handshakes behind one included.</summary>
    public bool IsQuiet => _loops.Count == 0;

    /// <summary>The time that the table's times are measured on.</summary>
    public TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>
    /// What the request's condition gives: an open connection, or the result of a dial. Errors come through the task. The token ends
    /// this caller's wait.
    /// </summary>
    /// <remarks>
    /// The order is rust-libp2p's (<c>swarm/src/lib.rs</c>, <c>dial</c>): condition, veto, addresses. Only a dial that would be started
    /// can be vetoed or lack addresses.
    /// </remarks>
    public async ValueTask<TConnection> ConnectAsync(PeerId peer, DialRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        JoinResult<TConnection> joined = Table.Join(peer, request, Now, mayStart: false);
        if (joined.Kind == JoinKind.NeedsDial)
        {
            _host.ThrowIfVetoed(peer);
            if (request.UsesKnown) request = request with { Candidates = [.. request.Candidates, .. _host.KnownAddresses(peer)] };
            joined = Table.Join(peer, request, Now);
        }

        return await GetAsync(peer, joined, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A further connection, for this caller alone. Errors come through the task.</summary>
    public async ValueTask<TConnection> ConnectLaneAsync(
        PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan timeout, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _host.ThrowIfVetoed(peer);
        return await GetAsync(peer, Table.NewLane(peer, candidates, Now, timeout), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Addresses that became known join dials under way; with news of the peer, nobody waits for its pause to end.</summary>
    public void Learn(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, bool isNews) =>
        Table.Learn(peer, candidates, isNews, Now);

    /// <summary>Cancels every dial, handshakes that go on behind one included, and waits until all sockets are closed.</summary>
    public async ValueTask DisposeAsync()
    {
        Table.Close();
        await _closing.CancelAsync().ConfigureAwait(false);
        await _loops.DrainAsync().ConfigureAwait(false);
    }

    private async ValueTask<TConnection> GetAsync(PeerId peer, JoinResult<TConnection> joined, CancellationToken cancellationToken)
    {
        switch (joined.Kind)
        {
            case JoinKind.Open: return joined.Connection!;
            case JoinKind.NoAddresses: throw DialFailure.NoAddresses(peer);
            case JoinKind.Started: _loops.Run(() => RunAsync(joined.Dial!)); break;
        }

        DialWaiter<TConnection> waiter = joined.Waiter!;
        try
        {
            return await waiter.Result.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Table.Leave(waiter);
        }
    }

    private async Task RunAsync(PendingDial<TConnection> dial)
    {
        var attempts = new Dictionary<DialTarget, DialTry>();
        TimeSpan? begun = null;
        Activity? activity = null;
        try
        {
            using ITimer timer = _time.CreateTimer(
                static changed => ((AsyncPulse)changed!).Set(), dial.Changed, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            while (true)
            {
                TimeSpan now = Now;
                DialStep step = Table.Next(dial, now);
                switch (step.Kind)
                {
                    case DialStepKind.Begin:
                        begun = now;
                        activity = _host.Dialing(dial.Peer, Table.AddressesOf(dial));
                        break;
                    case DialStepKind.Connect:
                        var attempt = new DialTry(step.Target!, _closing.Token);
                        attempts.Add(attempt.Target, attempt);
                        attempt.Running = TryAsync(dial, attempt);
                        break;
                    case DialStepKind.Upgrade:
                        attempts[step.Target!].Admit();
                        break;
                    case DialStepKind.Wait:
                        if (!SetTimer(timer, step.Until)) break;
                        await dial.Changed.WaitAsync().ConfigureAwait(false);
                        break;
                    case DialStepKind.Settled:
                        if (begun is not null && dial is { Outcome: DialOutcome.Cancelled, Error: { } aborted }) _host.DialFailed(dial.Peer, aborted);
                        return;
                    default:
                        if (Table.GiveUp(dial, now) is { } error) _host.DialFailed(dial.Peer, error);
                        break;
                }
            }
        }
        finally
        {
            if (begun is { } start) _host.DialEnded(dial.Peer, dial.Outcome, dial.Error, Now - start, activity);
            // Handshakes under way when another connection completed the dial go on to their end, and the connection is kept: the
            // remote side may have finished them already and given the connection to its own callers. Those that have not begun
            // are closed unheard.
            bool keepHandshakes = dial.Outcome == DialOutcome.Connected;
            foreach (DialTry attempt in attempts.Values)
            {
                if (!keepHandshakes || !attempt.IsAdmitted) await attempt.Cancellation.CancelAsync().ConfigureAwait(false);
            }

            foreach (DialTry attempt in attempts.Values)
            {
                await attempt.Running.ConfigureAwait(false);
                attempt.Cancellation.Dispose();
            }
        }
    }

    // False: it is that late already.
    private bool SetTimer(ITimer timer, TimeSpan until)
    {
        TimeSpan now;
        do
        {
            now = Now;
            if (now >= until) return false;
            // A timer that fires early by its own rounding would make the loop spin; one that is set beyond its reach would throw.
            double wait = Math.Ceiling(Math.Max(1, (until - now).TotalMilliseconds));
            timer.Change(
                wait < int.MaxValue ? TimeSpan.FromMilliseconds(wait) : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
        while (Now - now >= TimeSpan.FromMilliseconds(1)); // time went on before the timer was set: it would be late by that

        return true;
    }

    // Never faults: the outcome goes to the table.
    private async Task TryAsync(PendingDial<TConnection> dial, DialTry attempt)
    {
        DialTarget target = attempt.Target;
        CancellationToken cancelled = attempt.Cancellation.Token;
        IDuplexConnection? connection = null;
        TConnection? ready = null;
        try
        {
            try
            {
                connection = await ConnectAsync(target.Address, cancelled).ConfigureAwait(false);
                Table.TargetConnected(dial, target);
                await attempt.Admitted.WaitAsync(cancelled).ConfigureAwait(false);
                IDuplexConnection upgrading = connection;
                connection = null; // the upgrade owns it
                ready = await _host.UpgradeAsync(upgrading, dial.Peer, cancelled).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancelled.IsCancellationRequested)
            {
                _host.AddressFailed(dial.Peer, target.Address);
                throw;
            }

            _host.AddressWorked(dial.Peer, target.Address);
            _host.ThrowIfDenied(ready);
            Establishment made = Table.Establish(dial.Peer, ready, dial);
            if (made.Refused is not null) throw made.Refused;
            _host.Established(ready, made);
            ready = null;
        }
        catch (OperationCanceledException) when (cancelled.IsCancellationRequested)
        {
            // A loser, or the dial was given up.
        }
        catch (Exception e)
        {
            // Whatever the cause, it is one failed address: waiters go on to the next one.
            TransportException error = e as TransportException ?? new TransportException(TransportError.Unknown, e.Message, e);
            if (ready is not null) await _host.DiscardAsync(ready, error).ConfigureAwait(false);
            Table.TargetFailed(dial, target, error.Error, error.Message, Now);
        }
        finally
        {
            connection?.Abort();
        }
    }

    private async ValueTask<IDuplexConnection> ConnectAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_connectTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            return await _host.ConnectAsync(address, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TransportException(TransportError.Timeout, $"no answer within {_connectTimeout.TotalSeconds:0.#} s", e);
        }
    }
}

/// <summary>One address of a dial that is under way. Owned by the loop of its dial.</summary>
internal sealed class DialTry(DialTarget target, CancellationToken closing)
{
    private readonly TaskCompletionSource _admitted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public DialTarget Target { get; } = target;

    public CancellationTokenSource Cancellation { get; } = CancellationTokenSource.CreateLinkedTokenSource(closing);

    public Task Running { get; set; } = Task.CompletedTask;

    /// <summary>Completes when it is this address's turn to be secured.</summary>
    public Task Admitted => _admitted.Task;

    public bool IsAdmitted => _admitted.Task.IsCompleted;

    public void Admit() => _admitted.TrySetResult();
}
