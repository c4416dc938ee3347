using FastShare.Transport.Dialing;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>A request, and everything that really happened to it.</summary>
internal sealed class SimulatedRequest(
    SimulatedNode peer, long size, TimeSpan timeout, RetryPolicy retry, bool isIdempotent, DialCondition condition)
    : QueuedRequest<SimulatedEnd>(peer.Id, size, timeout, retry, isIdempotent, condition)
{
    private readonly HashSet<RequestFailure> _causes = [];

    public SimulatedNode Target { get; } = peer;

    public TimeSpan BegunAt { get; set; }

    /// <summary>Whether it has got its place in the queue.</summary>
    public bool IsAccepted { get; set; }

    public bool IsCancelled { get; set; }

    /// <summary>How often the peer carried it out.</summary>
    public int Executions { get; set; }

    /// <summary>How often it was given to a connection.</summary>
    public int Sendings { get; set; }

    /// <summary>Whether an attempt ended of which nobody can say whether the peer carried it out.</summary>
    public bool MayHaveBeenCarriedOut { get; set; }

    /// <summary>The attempt under way, as the driver knows it.</summary>
    public SimulatedExchange? Exchange { get; set; }

    public bool HasResponse { get; private set; }

    public RequestException? Error { get; private set; }

    public bool IsOver => HasResponse || Error is not null;

    public VirtualTime.PlannedEvent? Cancellation { get; set; }

    /// <summary>The world did something that may fail the request this way.</summary>
    public void Suffer(RequestFailure cause) => _causes.Add(cause);

    public bool Suffered(RequestFailure cause) => _causes.Contains(cause);

    public void Answer()
    {
        End();
        HasResponse = true;
    }

    public void Fail(RequestException error)
    {
        End();
        Error = error;
    }

    public override string ToString() => $"request {Id} to {Target}";

    private void End()
    {
        if (IsOver) throw new InvariantException($"{this} was answered twice");
        Cancellation?.CallOff();
    }
}
