using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;
using Steps = System.Collections.Generic.List<
    FastShare.Transport.Requests.Internal.RequestStep<FastShare.Transport.Tests.Simulation.SimulatedEnd>>;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>The queue of requests as a simulated node uses it: the real machine. Faults are injected by overriding.</summary>
internal class RequestLine
{
    private RequestQueue<SimulatedEnd>? _machine;

    public RequestQueue<SimulatedEnd> Machine => _machine!;

    /// <summary>Makes the machine; called once.</summary>
    public virtual void Make(RequestProtocolOptions options, Func<double> random) =>
        _machine = new RequestQueue<SimulatedEnd>(options, static end => end.IsLive, random);

    public virtual void Begin(SimulatedRequest request, TimeSpan now, Steps steps) => Machine.Begin(request, now, steps);

    public virtual void Cancel(SimulatedRequest request, TimeSpan now, Steps steps) => Machine.Cancel(request, now, steps);

    public virtual void ConnectionUp(PeerId peer, SimulatedEnd connection, TimeSpan now, Steps steps) =>
        Machine.ConnectionUp(peer, connection, now, steps);

    public virtual void ConnectionDown(PeerId peer, SimulatedEnd connection, TimeSpan now, Steps steps) =>
        Machine.ConnectionDown(peer, connection, now, steps);

    public virtual void PeerFound(PeerId peer, TimeSpan now, Steps steps) => Machine.PeerFound(peer, now, steps);

    public virtual void Connected(ConnectionWish<SimulatedEnd> wish, SimulatedEnd connection, TimeSpan now, Steps steps) =>
        Machine.Connected(wish, connection, now, steps);

    public virtual void NotConnected(ConnectionWish<SimulatedEnd> wish, TransportException error, TimeSpan now, Steps steps) =>
        Machine.NotConnected(wish, error, now, steps);

    public virtual bool Succeeded(RequestFlight<SimulatedEnd> flight, TimeSpan now, Steps steps) => Machine.Succeeded(flight, now, steps);

    public virtual void Failed(
        RequestFlight<SimulatedEnd> flight, RequestFailure failure, FlightReach reach, TimeSpan now, Steps steps) =>
        Machine.Failed(
            flight, failure, "injected", null, reach, failure is RequestFailure.ConnectionClosed or RequestFailure.Io, now, steps);

    public virtual void Tick(TimeSpan now, Steps steps) => Machine.Tick(now, steps);

    public virtual void Close(TimeSpan now, Steps steps) => Machine.Close(now, steps);
}
