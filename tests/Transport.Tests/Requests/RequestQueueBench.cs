using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Requests;

/// <summary>A queue with one peer, whose steps are sorted as they come.</summary>
internal sealed class RequestQueueBench
{
    private readonly List<RequestStep<Link>> _steps = [];

    public RequestQueueBench(RequestProtocolOptions? options = null) =>
        Queue = new RequestQueue<Link>(options ?? new RequestProtocolOptions(), link => link.IsLive, () => Random);

    public PeerId Peer { get; } = NewPeer();

    public RequestQueue<Link> Queue { get; }

    public double Random { get; set; } = 0.5;

    public TimeSpan Now { get; set; }

    public List<ConnectionWish<Link>> Wishes { get; } = [];

    public List<ConnectionWish<Link>> EndedWishes { get; } = [];

    public List<RequestFlight<Link>> Flights { get; } = [];

    public List<RequestFlight<Link>> Stopped { get; } = [];

    public List<QueuedRequest<Link>> Accepted { get; } = [];

    public List<QueuedRequest<Link>> Retries { get; } = [];

    public List<(QueuedRequest<Link> Request, RequestException Error)> Failures { get; } = [];

    public QueuedRequest<Link> Begin(
        RetryPolicy? retry = null, bool isIdempotent = false, long size = 1, double seconds = 10, PeerId? peer = null)
    {
        var request = new QueuedRequest<Link>(
            peer ?? Peer, size, TimeSpan.FromSeconds(seconds), retry ?? RetryPolicy.None, isIdempotent,
            DialCondition.DisconnectedAndNotDialing);
        Do(steps => Queue.Begin(request, Now, steps));
        return request;
    }

    public Link Up() => Up(new Link());

    public Link Up(Link link)
    {
        Do(steps => Queue.ConnectionUp(Peer, link, Now, steps));
        return link;
    }

    /// <summary>A connection is up, takes what is queued, and is lost before any of it is begun.</summary>
    public void UpAndLost()
    {
        int before = Flights.Count;
        Link link = Up();
        link.IsLive = false;
        foreach (RequestFlight<Link> flight in Flights.Skip(before).ToArray())
            Fail(flight, RequestFailure.ConnectionClosed, FlightReach.NotBegun);
        Down(link);
    }

    public void Down(Link link)
    {
        link.IsLive = false;
        Do(steps => Queue.ConnectionDown(Peer, link, Now, steps));
    }

    public void Tick(double seconds)
    {
        Now = TimeSpan.FromSeconds(seconds);
        Do(steps => Queue.Tick(Now, steps));
    }

    public void Found() => Do(steps => Queue.PeerFound(Peer, Now, steps));

    public void NotConnected(string message = "refused", TransportError error = TransportError.DialFailure) =>
        Do(steps => Queue.NotConnected(Wishes[^1], new TransportException(error, message), Now, steps));

    public void Succeed(RequestFlight<Link> flight, bool isResult = true) =>
        Do(steps => Assert.Equal(isResult, Queue.Succeeded(flight, Now, steps)));

    public void Fail(
        RequestFlight<Link> flight, RequestFailure failure, FlightReach reach = FlightReach.Unknown, bool isPassing = true) =>
        Do(steps => Queue.Failed(flight, failure, "it failed", null, reach, isPassing, Now, steps));

    public void Do(Action<List<RequestStep<Link>>> work)
    {
        _steps.Clear();
        work(_steps);
        foreach (RequestStep<Link> step in _steps)
        {
            switch (step.Kind)
            {
                case RequestStepKind.Connect: Wishes.Add(step.Wish!); break;
                case RequestStepKind.EndConnect: EndedWishes.Add(step.Wish!); break;
                case RequestStepKind.Accepted: Accepted.Add(step.Request!); break;
                case RequestStepKind.Send: Flights.Add(step.Flight!); break;
                case RequestStepKind.Stop: Stopped.Add(step.Flight!); break;
                case RequestStepKind.Retry: Retries.Add(step.Request!); break;
                default: Failures.Add((step.Request!, step.Error!)); break;
            }
        }
    }

    public static PeerId NewPeer()
    {
        using var identity = PeerIdentity.Generate();
        return identity.PeerId;
    }
}

/// <summary>Stands for a connection.</summary>
internal sealed class Link
{
    public bool IsLive { get; set; } = true;
}
