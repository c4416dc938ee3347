using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Simulation;

// What must hold for requests.
internal sealed partial class SimulatedNode
{
    private void CheckRequests()
    {
        if (Line.Machine.PendingCount != _requests.Count)
            throw new InvariantException($"{this} has {_requests.Count} requests, its queue knows of {Line.Machine.PendingCount}");
        foreach (SimulatedRequest request in _requests)
        {
            if (IsClosed) throw new InvariantException($"{request} goes on although {this} is closed");
            if (!Line.Machine.IsPending(request.Id)) throw new InvariantException($"{request} of {this} is lost");
            if (World.Time.Now > request.BegunAt + request.Timeout + Lateness)
                throw new InvariantException($"{request} of {this} is overdue");
            bool isUnderWay = request.Exchange is { IsOver: false };
            if (isUnderWay != (request.State == RequestState.InFlight))
                throw new InvariantException($"{request} of {this} is {request.State}, and really under way: {isUnderWay}");
            if (request.State != RequestState.Queued) continue;
            // Something must be going on for it: a connection without room, or the wish for one.
            SimulatedEnd? idle = _ends.Find(e => e is { IsKnown: true, IsReportedDown: false, IsLive: true }
                && e.Peer == request.Peer && _inFlight.GetValueOrDefault(e) < RequestOptions.MaxConcurrentStreams);
            if (idle is not null) throw new InvariantException($"{request} of {this} is queued although {idle} has room");
            bool isExpected = _wishes.Keys.Any(w => w.Peer == request.Peer)
                || _ends.Exists(e => e is { IsKnown: true, IsReportedDown: false } && e.Peer == request.Peer);
            if (!isExpected) throw new InvariantException($"{request} of {this} is queued, and nothing is done for it");
        }
    }

    /// <summary>The queue has a bound, and takes in the order of the calls.</summary>
    private void CheckAccepted(SimulatedRequest request)
    {
        if (request.IsAccepted) throw new InvariantException($"{request} of {this} was accepted twice");
        if (_requests.Find(r => r.Peer == request.Peer && !r.IsAccepted && r.Id < request.Id) is { } earlier)
            throw new InvariantException($"{request} of {this} was accepted before {earlier}");
        // Its own place is the last one; one whose step comes along with it may be on a connection by now.
        SimulatedRequest[] held = [.. _requests.Where(r => r != request && r.Peer == request.Peer && r.IsAccepted
            && r.State is RequestState.Queued or RequestState.BackingOff)];
        long bytes = held.Sum(r => r.Size) + request.Size;
        if (request.State == RequestState.Queued && held.Length > 0
            && (held.Length >= RequestOptions.MaxQueuedRequests || bytes > RequestOptions.MaxQueuedBytes))
            throw new InvariantException($"{request} of {this} was accepted beside {held.Length} of {bytes - request.Size} bytes");
    }

    /// <summary>A request failed: is it true?</summary>
    private void CheckFailure(SimulatedRequest request, RequestException error)
    {
        if (error.Id.Value != request.Id || error.Peer != request.Peer)
            throw new InvariantException($"{request} of {this} failed as {error.Id}");
        World.See($"a request that failed: {error.Failure} while {error.Stage}");
        bool isTrue = error.Failure switch
        {
            RequestFailure.Cancelled => request.IsCancelled,
            RequestFailure.Aborted => IsClosed
                || Chain(error).Any(e => e is TransportException { Error: TransportError.Aborted } t && _dialErrors.Contains(t)),
            RequestFailure.QueueFull => RequestOptions.WhenFull == QueueFullMode.Fail && IsFullFor(request),
            RequestFailure.DialFailure => Chain(error).Any(e => e is TransportException t && _dialErrors.Contains(t)),
            RequestFailure.Timeout => World.Time.Now >= request.BegunAt + request.Timeout,
            _ => request.Suffered(error.Failure),
        };
        if (!isTrue) throw new InvariantException($"{request} of {this} failed without a cause: {error.Message}");
        if (error.Failure == RequestFailure.Timeout) CheckStage(request, error);
        RequestTimes times = error.Times;
        TimeSpan told = times.Queued + times.Dialing + times.BackingOff + times.Negotiating + times.Exchanging;
        if (told != World.Time.Now - request.BegunAt)
            throw new InvariantException($"{request} of {this} took {World.Time.Now - request.BegunAt}, and tells of {told}");
        // With a response to be had, only what nobody can repeat ends a request that has time and attempts left.
        bool mayEnd = error.Failure is not (RequestFailure.DialFailure or RequestFailure.ConnectionClosed or RequestFailure.Io)
            || request.Retry.MaxAttempts <= request.Attempts || (request.MayHaveBeenCarriedOut && !request.IsIdempotent)
            || World.Time.Now >= request.BegunAt + request.Timeout
            || (request.Retry.Budget is { } budget && World.Time.Now >= request.BegunAt + budget);
        if (!mayEnd) throw new InvariantException($"{request} of {this} gave up too early: {error.Message}");
    }

    private void CheckStage(SimulatedRequest request, RequestException error)
    {
        bool isUnderWay = request.Exchange is { IsOver: false };
        bool isDialing = _wishes.Keys.Any(w => w.Peer == request.Peer);
        bool isTrue = error.Stage switch
        {
            RequestStage.Queued => !isUnderWay && (!request.IsAccepted || !isDialing),
            RequestStage.Dialing => !isUnderWay && isDialing,
            RequestStage.BackingOff => !isUnderWay && (request.Attempts > 0 || _lost.GetValueOrDefault(request.Peer) > 1),
            _ => isUnderWay && error.Stage == request.Exchange!.Flight.Stage,
        };
        if (!isTrue) throw new InvariantException($"{request} of {this} did not spend its last time in {error.Stage}");
    }

    private bool IsFullFor(SimulatedRequest request)
    {
        SimulatedRequest[] held = [.. _requests.Where(r => r != request && r.Peer == request.Peer
            && r.State is RequestState.Queued or RequestState.BackingOff)];
        return held.Length >= RequestOptions.MaxQueuedRequests || held.Sum(r => r.Size) + request.Size > RequestOptions.MaxQueuedBytes;
    }

    private static IEnumerable<Exception> Chain(Exception error)
    {
        for (Exception? e = error; e is not null; e = e.InnerException) yield return e;
    }
}
