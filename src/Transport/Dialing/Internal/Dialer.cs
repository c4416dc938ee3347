using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>What a dialer needs from its swarm. All members are thread-safe.</summary>
internal interface IDialHost<TConnection>
    where TConnection : class
{
    /// <summary>Makes a connection with the transport for <paramref name="address"/>.</summary>
    ValueTask<IDuplexConnection> ConnectAsync(Multiaddr address, CancellationToken cancellationToken);

    /// <summary>Secures and multiplexes a connection, within the upgrade's own deadline; takes ownership of it.</summary>
    ValueTask<TConnection> UpgradeAsync(IDuplexConnection connection, PeerId peer, CancellationToken cancellationToken);

    /// <summary>A pending task was made.</summary>
    void Dialing(PeerId peer, IReadOnlyList<Multiaddr> addresses);

    /// <summary>A pending task failed.</summary>
    void DialFailed(PeerId peer, TransportException error);

    /// <summary>An address led to the peer.</summary>
    void AddressWorked(PeerId peer, Multiaddr address);

    /// <summary>An address did not lead to the peer.</summary>
    void AddressFailed(PeerId peer, Multiaddr address);

    /// <summary>A connection was listed; it is to be run, and reported lost when it is over.</summary>
    void Established(TConnection connection, int connectionsToPeer, bool isLane);

    /// <summary>A ready connection is not wanted any more: to be closed at once.</summary>
    ValueTask DiscardAsync(TConnection connection);
}

/// <summary>Carries out the steps of <see cref="PendingConnections{TConnection}"/>: one loop per pending task. Thread-safe.</summary>
internal sealed class Dialer<TConnection> : IAsyncDisposable
    where TConnection : class
{
    private readonly IDialHost<TConnection> _host;
    private readonly TimeProvider _time;
    private readonly TimeSpan _dialTimeout;
    private readonly TimeSpan _connectTimeout;
    private readonly long _epoch;
    private readonly TaskTracker _loops = new();

    public Dialer(
        IDialHost<TConnection> host, PendingConnections<TConnection> table, TimeProvider time, TimeSpan dialTimeout, TimeSpan connectTimeout)
    {
        _host = host;
        Table = table;
        _time = time;
        _dialTimeout = dialTimeout;
        _connectTimeout = connectTimeout;
        _epoch = time.GetTimestamp();
    }

    public PendingConnections<TConnection> Table { get; }

    private TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>An open connection, or the result of the peer's one pending task. The token ends this caller's wait.</summary>
    public ValueTask<TConnection> ConnectAsync(
        PeerId peer, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken)
    {
        JoinResult<TConnection> joined = Table.Join(peer, candidates, Now, _dialTimeout);
        if (joined.Connection is not null) return new ValueTask<TConnection>(joined.Connection);
        if (joined.Dial is null) throw DialFailure.NoAddresses(peer);
        if (joined.IsNew) Drive(joined.Dial);
        return WaitAsync(joined.Dial, cancellationToken);
    }

    /// <summary>A further connection, for this caller alone.</summary>
    public ValueTask<TConnection> ConnectLaneAsync(
        PeerId peer, IReadOnlyCollection<DialCandidate> candidates, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<TConnection>(cancellationToken);
        if (candidates.Count == 0) throw DialFailure.NoAddresses(peer);
        PendingDial<TConnection> dial = Table.NewLane(peer, candidates, Now, _dialTimeout);
        Drive(dial);
        return WaitAsync(dial, cancellationToken);
    }

    /// <summary>Addresses that became known join a dial under way.</summary>
    public void Learn(PeerId peer, IReadOnlyCollection<DialCandidate> candidates) => Table.Learn(peer, candidates, Now);

    /// <summary>Cancels every dial and waits until its sockets are closed.</summary>
    public async ValueTask DisposeAsync()
    {
        Table.Close();
        await _loops.DrainAsync().ConfigureAwait(false);
    }

    private async ValueTask<TConnection> WaitAsync(PendingDial<TConnection> dial, CancellationToken cancellationToken)
    {
        try
        {
            return await dial.Result.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Table.Leave(dial);
        }
    }

    private void Drive(PendingDial<TConnection> dial) => _loops.Run(() => RunAsync(dial));

    private async Task RunAsync(PendingDial<TConnection> dial)
    {
        _host.Dialing(dial.Peer, Table.AddressesOf(dial));
        var attempts = new Dictionary<DialTarget, Attempt>();
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
                    case DialStepKind.Connect:
                        var attempt = new Attempt(step.Target!);
                        attempts.Add(attempt.Target, attempt);
                        attempt.Running = AttemptAsync(dial, attempt);
                        break;
                    case DialStepKind.Upgrade:
                        attempts[step.Target!].Admit();
                        break;
                    case DialStepKind.Wait:
                        // A timer that fires early by its own rounding would make this loop spin.
                        double wait = Math.Ceiling(Math.Max(1, (step.Until - now).TotalMilliseconds));
                        timer.Change(TimeSpan.FromMilliseconds(wait), Timeout.InfiniteTimeSpan);
                        await dial.Changed.WaitAsync().ConfigureAwait(false);
                        break;
                    case DialStepKind.Settled:
                        return;
                    default:
                        if (Table.GiveUp(dial, now) is { } error) _host.DialFailed(dial.Peer, error);
                        break;
                }
            }
        }
        finally
        {
            // Handshakes under way when another connection completed the dial go on to their end, and the connection is kept: the
            // remote side may have finished them already and given the connection to its own callers. Those that have not begun
            // are closed unheard.
            bool keepHandshakes = dial.Outcome == DialOutcome.Connected;
            foreach (Attempt attempt in attempts.Values)
            {
                if (!keepHandshakes || !attempt.IsAdmitted) await attempt.Cancellation.CancelAsync().ConfigureAwait(false);
            }

            foreach (Attempt attempt in attempts.Values)
            {
                await attempt.Running.ConfigureAwait(false);
                attempt.Cancellation.Dispose();
            }
        }
    }

    // Never faults: the outcome goes to the table.
    private async Task AttemptAsync(PendingDial<TConnection> dial, Attempt attempt)
    {
        DialTarget target = attempt.Target;
        CancellationToken cancelled = attempt.Cancellation.Token;
        IDuplexConnection? connection = null;
        try
        {
            connection = await ConnectAsync(target.Address, cancelled).ConfigureAwait(false);
            Table.TargetConnected(dial, target);
            await attempt.Admitted.WaitAsync(cancelled).ConfigureAwait(false);
            IDuplexConnection upgrading = connection;
            connection = null; // the upgrade owns it
            TConnection ready = await _host.UpgradeAsync(upgrading, dial.Peer, cancelled).ConfigureAwait(false);
            _host.AddressWorked(dial.Peer, target.Address);
            if (Table.Establish(dial.Peer, ready, dial, out int count)) _host.Established(ready, count, dial.IsLane);
            else await _host.DiscardAsync(ready).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancelled.IsCancellationRequested)
        {
            // A loser, or the dial was given up.
        }
        catch (Exception e)
        {
            _host.AddressFailed(dial.Peer, target.Address);
            var error = e as TransportException;
            Table.TargetFailed(dial, target, error?.Error ?? TransportError.Unknown, e.Message, Now);
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

    /// <summary>One address under way. Owned by the loop of its dial.</summary>
    private sealed class Attempt(DialTarget target)
    {
        private readonly TaskCompletionSource _admitted = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public DialTarget Target { get; } = target;

        public CancellationTokenSource Cancellation { get; } = new();

        public Task Running { get; set; } = Task.CompletedTask;

        /// <summary>Completes when it is this address's turn to be secured.</summary>
        public Task Admitted => _admitted.Task;

        public bool IsAdmitted => _admitted.Task.IsCompleted;

        public void Admit() => _admitted.TrySetResult();
    }
}
