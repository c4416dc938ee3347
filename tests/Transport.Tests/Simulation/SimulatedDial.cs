using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>
/// Carries out the steps of one pending dial as the real dialer's loop does, over the simulated network. Keeps account of what
/// really happened, to compare what callers are told with it.
/// </summary>
internal sealed class SimulatedDial(SimulatedNode node, PendingDial<SimulatedEnd> dial, int number)
{
    private readonly List<SimulatedAttempt> _attempts = [];
    private VirtualTime.PlannedEvent? _timer;
    private VirtualTime.PlannedEvent? _wake;
    private bool _loopEnded;

    public PendingDial<SimulatedEnd> Dial { get; } = dial;

    public IReadOnlyList<SimulatedAttempt> Attempts => _attempts;

    /// <summary>Whether nothing of it is left: the loop has ended, and so has every attempt.</summary>
    public bool IsOver => !IsPending && _loopEnded && _attempts.TrueForAll(a => a.IsOver);

    private SimulatedWorld World => node.World;

    public bool IsPending => Dial.Outcome == DialOutcome.Pending;

    /// <summary>Whether ordinary callers may wait for it.</summary>
    public bool IsShared => !Dial.IsLane;

    /// <summary>Plans the next look at the machine if it told that there is something to do.</summary>
    public void Attend()
    {
        if (!Dial.Changed.TryTake() || _loopEnded) return;
        _wake ??= World.Time.Plan(World.Jitter(), "dial loop wakes", Wake);
    }

    /// <summary>The loop of the dial: steps until there is something to wait for.</summary>
    public void Run()
    {
        node.Touch();
        while (!_loopEnded)
        {
            TimeSpan now = World.Time.Now;
            DialStep step = node.Table.Machine.Next(Dial, now);
            switch (step.Kind)
            {
                case DialStepKind.Begin:
                    World.Trace.Write($"{node} {this} gets under way");
                    break;
                case DialStepKind.Connect:
                    var attempt = new SimulatedAttempt(node, this, step.Target!);
                    _attempts.Add(attempt);
                    attempt.Start();
                    break;
                case DialStepKind.Upgrade:
                    _attempts.Single(a => a.Target == step.Target).Admit();
                    break;
                case DialStepKind.Wait:
                    _timer?.CallOff();
                    if (step.Until == TimeSpan.MaxValue) return; // a signal will come
                    double wait = Math.Ceiling(Math.Max(1, (step.Until - now).TotalMilliseconds));
                    _timer = World.Time.Plan(TimeSpan.FromMilliseconds(wait), "dial timer", Wake);
                    return;
                case DialStepKind.Settled:
                    End();
                    return;
                default:
                    node.Table.GiveUp(Dial, now);
                    break;
            }
        }
    }

    /// <summary>The node closes: handshakes that go on behind the dial end as well.</summary>
    public void Close() => _attempts.ForEach(a => a.Cancel());

    public override string ToString() => $"dial {number} to {World.NameOf(Dial.Peer)}{(Dial.IsLane ? " (lane)" : "")}";

    private void Wake()
    {
        _wake?.CallOff();
        _wake = null;
        Run();
    }

    private void End()
    {
        _loopEnded = true;
        _timer?.CallOff();
        bool keepHandshakes = Dial.Outcome == DialOutcome.Connected && !node.IsClosed;
        foreach (SimulatedAttempt attempt in _attempts)
        {
            if (!keepHandshakes || !attempt.IsAdmitted) attempt.Cancel();
        }
    }
}

/// <summary>One address of a dial under way.</summary>
internal sealed class SimulatedAttempt(SimulatedNode node, SimulatedDial dial, DialTarget target)
{
    private VirtualTime.PlannedEvent? _next;

    public DialTarget Target { get; } = target;

    public bool IsConnected { get; private set; }

    public bool IsAdmitted { get; private set; }

    public bool IsOver { get; private set; }

    /// <summary>The failure that the world injected; null while there is none.</summary>
    public TransportError? Cause { get; private set; }

    private SimulatedWorld World => node.World;

    public void Start()
    {
        SimulatedAddress? address = World.Network.At(Target.Address);
        (TimeSpan after, TransportError? error) = World.Network.Connect(node, address);
        World.Trace.Write($"{node} {dial}: connects to {Target.Address} ({address?.Behaviour.ToString() ?? "nobody"})");
        _next = World.Time.Plan(after, "connect", () =>
        {
            if (error is not null || !node.IsOnline || address is not { Owner.IsOnline: true })
            {
                Fail(error ?? TransportError.Unreachable);
                return;
            }

            IsConnected = true;
            node.Table.Machine.TargetConnected(dial.Dial, Target);
        });
    }

    public void Admit()
    {
        if (!IsConnected) throw new InvariantException($"{dial} secures {Target.Address}, which is not connected");
        IsAdmitted = true;
        SimulatedAddress address = World.Network.At(Target.Address)!;
        (TimeSpan after, TransportError? error) = World.Network.Secure(node, address);
        World.Trace.Write($"{node} {dial}: secures {Target.Address} ({address.Behaviour})");
        _next = World.Time.Plan(after, "handshake", () =>
        {
            if (error is not null || !node.IsOnline || !address.Owner.IsOnline) Fail(error ?? TransportError.ConnectionReset);
            else Succeed(address);
        });
    }

    public void Cancel()
    {
        _next?.CallOff();
        IsOver = true;
    }

    public override string ToString() =>
        $"{Target.Address} {Target.State} connected={IsConnected} admitted={IsAdmitted} over={IsOver} cause={Cause}";

    // In the order of the real dialer: the policy's say, then the table's.
    private void Succeed(SimulatedAddress address)
    {
        IsOver = true;
        node.Book.MarkGood(dial.Dial.Peer, Target.Address);
        SimulatedConnection connection = World.Network.Make(node, address.Owner);
        TransportException? objection = node.DeniesOutbound.Contains(dial.Dial.Peer)
            ? new TransportException(TransportError.AccessDenied, "denied by policy")
            : node.Establish(connection.Outbound, dial.Dial);
        World.Network.Arrive(connection, isWanted: objection is null);
        if (objection is not null) Report(objection.Error);
    }

    private void Fail(TransportError error)
    {
        IsOver = true;
        node.Book.MarkFailed(dial.Dial.Peer, Target.Address);
        Report(error);
    }

    private void Report(TransportError error)
    {
        Cause = error;
        node.Touch();
        World.Trace.Write($"{node} {dial}: {Target.Address} failed: {error}");
        node.Table.TargetFailed(dial.Dial, Target, error, "injected", World.Time.Now);
    }
}
