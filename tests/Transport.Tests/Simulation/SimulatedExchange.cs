using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>One attempt of a request: what the real driver does on a stream, over the simulated network.</summary>
internal sealed class SimulatedExchange(SimulatedNode node, SimulatedRequest request, RequestFlight<SimulatedEnd> flight)
{
    private VirtualTime.PlannedEvent? _next;
    private bool _isSent;
    private bool _arrived;

    public SimulatedRequest Request { get; } = request;

    public RequestFlight<SimulatedEnd> Flight { get; } = flight;

    /// <summary>The connection that it runs on: the flight's, or what took its place.</summary>
    public SimulatedEnd End { get; private set; } = flight.Connection;

    public bool IsOver { get; private set; }

    private SimulatedWorld World => node.World;

    private TimeSpan Delay => End.Connection.Delay;

    /// <summary>Opens a stream, unless the connection turns out to be over.</summary>
    public void Start() => _next = World.Time.Plan(World.Jitter(), "open stream", () =>
    {
        while (End is { IsLive: false, Successor: { } successor }) End = successor;
        if (!End.IsLive)
        {
            Fail(RequestFailure.ConnectionClosed, FlightReach.NotBegun);
            return;
        }

        End.Exchanges.Add(this);
        bool isLazy = World.Random.Percent(60);
        _next = World.Time.Plan(isLazy ? TimeSpan.Zero : 2 * Delay, "negotiated", Send);
    });

    /// <summary>Its connection is over, as this side knows by now.</summary>
    public void Lose()
    {
        if (IsOver) return;
        FlightReach reach = (_isSent, _arrived) switch
        {
            (false, _) => FlightReach.NotBegun,
            // Sometimes the other side says with its goodbye which streams it took.
            (true, false) when World.Random.Percent(40) => FlightReach.NotTaken,
            _ => FlightReach.Unknown,
        };
        Fail(RequestFailure.ConnectionClosed, reach);
    }

    /// <summary>Nobody wants the result any more; the end is reported all the same.</summary>
    public void Stop() => World.Time.Plan(World.Jitter(), "stop", () => Fail(RequestFailure.Cancelled, FlightReach.Unknown));

    private void Send()
    {
        if (!World.IsGood && World.Random.Percent(1))
        {
            Fail(RequestFailure.UnsupportedProtocols, FlightReach.NotTaken);
            return;
        }

        _isSent = true;
        Flight.Negotiated(World.Time.Now);
        _next = World.Time.Plan(World.Random.Milliseconds(0, 2), "sent", () => Flight.Stage = RequestStage.Receiving);
        World.Time.Plan(Delay + TimeSpan.FromMilliseconds(2), "request arrives", Arrive);
    }

    // What has arrived is carried out, whatever the sender thinks by then.
    private void Arrive()
    {
        if (!End.Connection.Carries || End.Other.IsOver || End.Remote.IsClosed) return;
        _arrived = true;
        Request.Executions++;
        World.Trace.Write($"{End.Remote} carries out {Request} of {node}");
        if (Request.Executions > 1 && !Request.IsIdempotent)
            throw new InvariantException($"{Request} of {node}, which is not idempotent, was carried out {Request.Executions} times");
        TimeSpan work = World.Random.Percent(90) ? World.Random.Milliseconds(0, 50) : World.Random.Milliseconds(50, 15_000);
        if (World.IsGood) work = World.Random.Milliseconds(0, 20);
        bool isReset = !World.IsGood && World.Random.Percent(3);
        World.Time.Plan(work + Delay, "response arrives", () =>
        {
            if (IsOver || !End.Connection.Carries || End.IsOver) return;
            if (isReset) Fail(RequestFailure.Io, FlightReach.Unknown);
            else Succeed();
        });
    }

    private void Succeed()
    {
        Finish();
        node.Succeed(this);
    }

    private void Fail(RequestFailure failure, FlightReach reach)
    {
        if (IsOver) return;
        Finish();
        if (failure != RequestFailure.Cancelled) Request.Suffer(failure);
        if (reach == FlightReach.Unknown) Request.MayHaveBeenCarriedOut = true;
        node.Fail(this, failure, reach);
    }

    private void Finish()
    {
        IsOver = true;
        _next?.CallOff();
        End.Exchanges.Remove(this);
        node.CloseIfUnused(End);
        End.Remote.CloseIfUnused(End.Other);
    }
}
