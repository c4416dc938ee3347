using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>
/// The table of connections and pending dials as a simulated node uses it: the real machine. Faults are injected by overriding, so
/// that the product has no code for them.
/// </summary>
internal class DialTable
{
    private PendingConnections<SimulatedEnd>? _machine;

    public PendingConnections<SimulatedEnd> Machine => _machine!;

    /// <summary>Makes the machine; called once.</summary>
    public void Begin(ConnectionLimits limits, Func<double> random) =>
        _machine = new PendingConnections<SimulatedEnd>(static end => end.IsLive, limits, new RedialBackoff(random));

    public virtual JoinResult<SimulatedEnd> Join(PeerId peer, in DialRequest request, TimeSpan now, bool mayStart) =>
        Machine.Join(peer, request, now, mayStart);

    public virtual JoinResult<SimulatedEnd> NewLane(
        PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout) =>
        Machine.NewLane(peer, candidates, now, timeout);

    public virtual void Leave(DialWaiter<SimulatedEnd> waiter) => Machine.Leave(waiter);

    public virtual void Learn(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, bool isNews, TimeSpan now) =>
        Machine.Learn(peer, candidates, isNews, now);

    public virtual Establishment Establish(PeerId peer, SimulatedEnd connection, PendingDial<SimulatedEnd>? dial) =>
        Machine.Establish(peer, connection, dial);

    public virtual void TargetFailed(
        PendingDial<SimulatedEnd> dial, DialTarget target, TransportError error, string message, TimeSpan now) =>
        Machine.TargetFailed(dial, target, error, message, now);

    public virtual TransportException? GiveUp(PendingDial<SimulatedEnd> dial, TimeSpan now) => Machine.GiveUp(dial, now);

    public virtual int Lost(PeerId peer, SimulatedEnd connection) => Machine.Lost(peer, connection);

    public virtual void Abort(PeerId peer) => Machine.Abort(peer);

    public virtual void Close() => Machine.Close();
}
