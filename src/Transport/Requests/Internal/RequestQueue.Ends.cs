namespace FastShare.Transport.Requests.Internal;

// How requests end, and how they are tried again. All of it with the lock held.
internal sealed partial class RequestQueue<TConnection>
{
    /// <summary>
    /// Connections that may be lost under a request before it is begun, as when a policy closes each at once. The deadline usually
    /// comes first: there are pauses before the peer is dialed again (<see cref="PeerQueue.Lose"/>).
    /// </summary>
    private const int MaxDetours = 16;

    /// <summary>Adds the time of the present state to what was spent. To be called before the state changes.</summary>
    private static void CloseState(QueuedRequest<TConnection> request, PeerQueue queue, TimeSpan now)
    {
        TimeSpan time = now - request.Since;
        RequestTimes spent = request.Spent;
        switch (request.State)
        {
            case RequestState.Waiting:
                request.Spent = spent with { Queued = spent.Queued + time };
                break;
            case RequestState.Queued:
                TimeSpan dialing = queue.DialingTime(now) - request.DialingMark;
                request.Spent = spent with { Dialing = spent.Dialing + dialing, Queued = spent.Queued + (time - dialing) };
                break;
            case RequestState.BackingOff:
                request.Spent = spent with { BackingOff = spent.BackingOff + time };
                break;
            case RequestState.InFlight:
                TimeSpan negotiated = request.Flight!.NegotiatedAt ?? now;
                TimeSpan negotiating = negotiated > request.Since ? negotiated - request.Since : TimeSpan.Zero; // or it was counted
                request.Spent = spent with
                {
                    Negotiating = spent.Negotiating + negotiating,
                    Exchanging = spent.Exchanging + (time - negotiating),
                };
                break;
        }

        request.Since = now;
        request.DialingMark = queue.DialingTime(now);
    }

    private static RequestStage StageOf(QueuedRequest<TConnection> request, PeerQueue queue) => request.State switch
    {
        RequestState.InFlight => request.Flight!.Stage,
        RequestState.BackingOff => RequestStage.BackingOff,
        RequestState.Queued when queue.Wish is not null => RequestStage.Dialing,
        _ => RequestStage.Queued,
    };

    // The budget is for attempts after failures; who merely goes on to the next connection has its whole time.
    private static TimeSpan LastAttempt(QueuedRequest<TConnection> request) =>
        request.LastFailure is not null && request.Retry.Budget is { } budget && request.Begun + budget < request.Deadline
            ? request.Begun + budget
            : request.Deadline;

    private static RequestException Error(
        QueuedRequest<TConnection> request, RequestFailure failure, string message, Exception? cause, RequestStage stage)
    {
        var known = cause as TransportException;
        return new RequestException(failure, $"request {request.Id} to {request.Peer} failed: {message}", cause)
        {
            Peer = request.Peer,
            Id = new OutboundRequestId(request.Id),
            Stage = stage,
            Times = request.Spent,
            Attempts = known is { Attempts.Count: > 0 } ? known.Attempts : request.LastFailure?.Attempts ?? [],
        };
    }

    private static RequestException DialFailed(QueuedRequest<TConnection> request, TransportException error) =>
        Error(request, RequestFailure.DialFailure, error.Message, error, RequestStage.Dialing);

    /// <summary>The connection was lost before the request could be begun: it goes on to the next one.</summary>
    private void Detour(PeerQueue queue, QueuedRequest<TConnection> request, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        bool held = request.State == RequestState.Queued;
        if (held) CloseState(request, queue, now);
        request.Flight = null;
        if (++request.Detours > MaxDetours)
        {
            RequestException error = Error(
                request, RequestFailure.ConnectionClosed,
                $"{request.Detours} connections in a row were lost before the request could be sent", null, RequestStage.Negotiating);
            FailAttempt(queue, request, error, mayRetry: true, now, steps);
            return;
        }

        if (!held) queue.HeldBytes += request.Size;
        Requeue(queue, request, now);
    }

    /// <summary>An attempt failed: the request waits for its next, or fails. Its state was closed, and it is in no queue.</summary>
    private void FailAttempt(
        PeerQueue queue, QueuedRequest<TConnection> request, RequestException error, bool mayRetry, TimeSpan now,
        List<RequestStep<TConnection>> steps)
    {
        request.Attempts++;
        request.LastFailure = error;
        bool held = request.State == RequestState.Queued;
        if (!mayRetry || request.Attempts >= request.Retry.MaxAttempts || now >= LastAttempt(request))
        {
            if (held) queue.HeldBytes -= request.Size;
            Finish(request);
            steps.Add(new RequestStep<TConnection>(RequestStepKind.Fail, request, Error: error));
            return;
        }

        steps.Add(new RequestStep<TConnection>(RequestStepKind.Retry, request));
        if (!held) queue.HeldBytes += request.Size;
        request.Detours = 0;
        request.Flight = null;
        BackOff(queue, request, request.Retry.DelayAfter(request.Attempts, random()), now);
    }

    // Beyond the last moment for an attempt nothing is due but to fail; until then news of the peer may still bring one.
    private void BackOff(PeerQueue queue, QueuedRequest<TConnection> request, TimeSpan delay, TimeSpan now)
    {
        request.State = RequestState.BackingOff;
        request.Since = now;
        TimeSpan last = LastAttempt(request);
        request.Due = now + delay < last ? now + delay : last;
        _dues.Update(request);
        queue.BackingOff.Add(request);
    }

    private void FailFinally(QueuedRequest<TConnection> request, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        RequestException last = request.LastFailure!;
        PeerQueue queue = Withdraw(request, now);
        Finish(request);
        var error = new RequestException(
            last.Failure,
            $"request {request.Id} to {request.Peer} failed {Times(request.Attempts)}, and there is no time to try again: {last.Message}",
            last)
        {
            Peer = request.Peer,
            Id = new OutboundRequestId(request.Id),
            Stage = last.Stage,
            Times = request.Spent,
            Attempts = last.Attempts,
        };
        steps.Add(new RequestStep<TConnection>(RequestStepKind.Fail, request, Error: error));
        Trim(queue);
    }

    private void TimeOut(PeerQueue queue, QueuedRequest<TConnection> request, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        RequestStage stage = StageOf(request, queue);
        CloseState(request, queue, now);
        RequestTimes spent = request.Spent;
        var parts = new List<string>();
        Part(spent.Queued, "queued");
        Part(spent.Dialing, "dialing");
        Part(spent.BackingOff, "waiting to try again");
        Part(spent.Negotiating, "negotiating");
        Part(spent.Exchanging, "exchanging");
        string message =
            $"no response within {request.Timeout.TotalSeconds:0.###} s; it was {Describe(stage)} (in all: {string.Join(", ", parts)})"
            + (request.LastFailure is { } last ? $"; an earlier attempt failed: {last.Message}" : "");
        Fail(request, RequestFailure.Timeout, message, request.LastFailure, now, steps, stage);

        void Part(TimeSpan time, string what)
        {
            if (time > TimeSpan.Zero) parts.Add($"{time.TotalSeconds:0.###} s {what}");
        }
    }

    private static string Describe(RequestStage stage) => stage switch
    {
        RequestStage.Queued => "queued",
        RequestStage.Dialing => "waiting for the peer to be connected",
        RequestStage.BackingOff => "waiting to be tried again",
        RequestStage.Negotiating => "negotiating its stream",
        RequestStage.Sending => "being sent",
        _ => "waiting for the response",
    };

    private static string Times(int count) => count == 1 ? "once" : $"{count} times";

    /// <summary>Ends a request in whatever state it is.</summary>
    private void Fail(
        QueuedRequest<TConnection> request, RequestFailure failure, string message, Exception? cause, TimeSpan now,
        List<RequestStep<TConnection>> steps, RequestStage? stage = null)
    {
        RequestStage at = stage ?? StageOf(request, QueueOf(request.Peer));
        RequestFlight<TConnection>? flight = request.State == RequestState.InFlight ? request.Flight : null;
        Withdraw(request, now);
        Finish(request);
        if (flight is not null) steps.Add(new RequestStep<TConnection>(RequestStepKind.Stop, request, flight));
        steps.Add(new RequestStep<TConnection>(RequestStepKind.Fail, request, Error: Error(request, failure, message, cause, at)));
    }

    /// <summary>Takes a request out of whatever it is in.</summary>
    private PeerQueue Withdraw(QueuedRequest<TConnection> request, TimeSpan now)
    {
        PeerQueue queue = QueueOf(request.Peer);
        CloseState(request, queue, now);
        switch (request.State)
        {
            case RequestState.Waiting:
                queue.Waiting.Remove(request);
                break;
            case RequestState.Queued:
                queue.Queued.Remove(request);
                queue.HeldBytes -= request.Size;
                break;
            case RequestState.BackingOff:
                queue.BackingOff.Remove(request);
                queue.HeldBytes -= request.Size;
                break;
        }

        return queue;
    }

    private void Finish(QueuedRequest<TConnection> request)
    {
        request.State = RequestState.Done;
        _dues.Remove(request);
        _pending.Remove(request.Id);
    }
}
