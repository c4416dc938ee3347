using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Requests;

/// <summary>The queue as a pure state machine: what it wants done, in virtual time.</summary>
public sealed class RequestQueueTests
{
    private readonly RequestQueueBench _bench = new();

    [Fact]
    public void Requests_to_an_unconnected_peer_share_one_wish()
    {
        for (int i = 0; i < 10_000; i++) _bench.Begin();
        Assert.Single(_bench.Wishes);
        Assert.Equal(10_000, _bench.Accepted.Count);
        Assert.Empty(_bench.Flights);
    }

    [Fact]
    public void Ids_are_monotonic_from_1_and_pending_until_the_end()
    {
        QueuedRequest<Link>[] requests = [.. Enumerable.Range(0, 5).Select(_ => _bench.Begin())];
        Assert.Equal([1, 2, 3, 4, 5], requests.Select(r => r.Id));
        Assert.All(requests, r => Assert.True(_bench.Queue.IsPending(r.Id)));
        Assert.False(_bench.Queue.IsPending(6));
        _bench.Up();
        Assert.All(requests, r => Assert.True(_bench.Queue.IsPending(r.Id))); // in flight
        _bench.Succeed(_bench.Flights[1]);
        Assert.False(_bench.Queue.IsPending(2));
        Assert.True(_bench.Queue.IsPending(1));
    }

    [Fact]
    public void A_connection_takes_the_queue_in_order_and_ends_the_wish()
    {
        for (int i = 0; i < 50; i++) _bench.Begin();
        Link link = _bench.Up();
        Assert.Equal(Enumerable.Range(1, 50).Select(i => (long)i), _bench.Flights.Select(f => f.Request.Id));
        Assert.All(_bench.Flights, f => Assert.Same(link, f.Connection));
        Assert.Equal(_bench.Wishes, _bench.EndedWishes);
    }

    [Fact]
    public void At_most_MaxConcurrentStreams_are_in_flight_on_a_connection()
    {
        for (int i = 0; i < 250; i++) _bench.Begin();
        _bench.Up();
        Assert.Equal(100, _bench.Flights.Count);
        _bench.Succeed(_bench.Flights[7]);
        Assert.Equal(101, _bench.Flights.Count);
        Assert.Equal(101, _bench.Flights[^1].Request.Id);
        _bench.Up();
        Assert.Equal(201, _bench.Flights.Count);
        Assert.Single(_bench.Wishes); // busy is not disconnected: no dial
    }

    [Fact]
    public void Requests_spread_over_connections_by_least_in_flight_ties_in_turn()
    {
        Link a = _bench.Up(), b = _bench.Up(), c = _bench.Up();
        for (int i = 0; i < 6; i++) _bench.Begin();
        Assert.Equal([a, b, c, a, b, c], _bench.Flights.Select(f => f.Connection));
        _bench.Succeed(_bench.Flights[1]);
        _bench.Succeed(_bench.Flights[4]);
        _bench.Begin();
        _bench.Begin();
        Assert.Equal([b, b], _bench.Flights.Skip(6).Select(f => f.Connection));
        Assert.Empty(_bench.Wishes);
    }

    [Fact]
    public void A_dial_failure_fails_every_queued_request_with_its_cause_and_none_of_another_peer()
    {
        for (int i = 0; i < 3; i++) _bench.Begin();
        ConnectionWish<Link> failing = _bench.Wishes[0];
        QueuedRequest<Link> other = _bench.Begin(peer: RequestQueueBench.NewPeer());
        var cause = new TransportException(TransportError.DialFailure, "no answer")
        {
            Attempts = [new DialAttempt(Multiaddr.Parse("/ip4/192.0.2.1/tcp/1"), TransportError.Unreachable, "no route")],
        };
        _bench.Do(steps => _bench.Queue.NotConnected(failing, cause, _bench.Now, steps));
        Assert.Equal([1L, 2, 3], _bench.Failures.Select(f => f.Request.Id));
        Assert.All(_bench.Failures, f =>
        {
            Assert.Equal(RequestFailure.DialFailure, f.Error.Failure);
            Assert.Same(cause, f.Error.InnerException);
            Assert.Equal(cause.Attempts, f.Error.Attempts);
            Assert.Equal(f.Request.Id, f.Error.Id.Value);
        });
        Assert.True(_bench.Queue.IsPending(other.Id));
    }

    [Fact]
    public void A_dial_failure_that_comes_when_a_connection_is_up_fails_nothing()
    {
        _bench.Begin();
        ConnectionWish<Link> wish = _bench.Wishes[0];
        _bench.Up();
        _bench.Do(steps => _bench.Queue.NotConnected(wish, new TransportException(TransportError.DialFailure, "late"), _bench.Now, steps));
        Assert.Empty(_bench.Failures);
        Assert.Single(_bench.Flights);
    }

    [Fact]
    public void The_wish_ends_when_the_last_queued_request_leaves()
    {
        QueuedRequest<Link> first = _bench.Begin(), second = _bench.Begin();
        _bench.Do(steps => _bench.Queue.Cancel(first, _bench.Now, steps));
        Assert.Empty(_bench.EndedWishes);
        _bench.Do(steps => _bench.Queue.Cancel(second, _bench.Now, steps));
        Assert.Equal(_bench.Wishes, _bench.EndedWishes);
        Assert.Equal(0, _bench.Queue.PeerCount);
    }

    [Fact]
    public void Requests_not_begun_on_a_lost_connection_go_on_to_the_next_in_order()
    {
        for (int i = 0; i < 5; i++) _bench.Begin();
        Link denied = _bench.Up();
        QueuedRequest<Link> later = _bench.Begin(seconds: 10);
        denied.IsLive = false;
        foreach (RequestFlight<Link> flight in _bench.Flights.ToArray())
            _bench.Fail(flight, RequestFailure.ConnectionClosed, FlightReach.NotBegun);
        _bench.Down(denied);
        Assert.Empty(_bench.Failures);
        Assert.Equal(2, _bench.Wishes.Count);
        _bench.Flights.Clear();
        Link next = _bench.Up();
        Assert.Equal([1L, 2, 3, 4, 5, later.Id], _bench.Flights.Select(f => f.Request.Id));
        Assert.All(_bench.Flights, f => Assert.Same(next, f.Connection));
    }

    [Fact]
    public void Connections_denied_again_and_again_never_spin_and_never_swallow_a_request()
    {
        QueuedRequest<Link> request = _bench.Begin(seconds: 3600);
        int rounds = 0;
        while (_bench.Failures.Count == 0)
        {
            Assert.True(rounds++ < 100);
            if (request.State == RequestState.BackingOff) _bench.Tick(_bench.Queue.NextDue.TotalSeconds);
            Link link = _bench.Up();
            Assert.Equal(RequestState.InFlight, request.State);
            link.IsLive = false;
            _bench.Fail(_bench.Flights[^1], RequestFailure.ConnectionClosed, FlightReach.NotBegun);
            _bench.Down(link);
        }

        Assert.True(_bench.Now > TimeSpan.FromSeconds(2), "it pauses between");
        Assert.Equal(RequestFailure.ConnectionClosed, Assert.Single(_bench.Failures).Error.Failure);
        Assert.Equal(0, _bench.Queue.PendingCount);
    }

    [Fact]
    public void A_connection_told_of_when_it_is_over_wakes_nobody()
    {
        QueuedRequest<Link> request = _bench.Begin();
        _bench.UpAndLost();
        _bench.UpAndLost();
        Assert.Equal(RequestState.BackingOff, request.State);
        int wishes = _bench.Wishes.Count;
        var late = new Link { IsLive = false };
        _bench.Down(late);
        _bench.Up(late);
        Assert.Equal((RequestState.BackingOff, wishes), (request.State, _bench.Wishes.Count));
        Assert.Equal(0, _bench.Queue.ConnectionCount(_bench.Peer));
    }

    [Fact]
    public void Nobody_has_a_peer_dialed_without_pause_that_ends_every_connection()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxConcurrentStreams = 1 });
        for (int i = 0; i < 50; i++) bench.Begin(); // all but one get no turn
        for (int i = 0; i < 100 && bench.Now < TimeSpan.FromSeconds(5); i++)
        {
            if (bench.Wishes.Count == bench.EndedWishes.Count) bench.Tick(bench.Queue.NextDue.TotalSeconds);
            bench.UpAndLost();
            bench.Begin(); // nor has a new one
        }

        Assert.Equal(TimeSpan.FromSeconds(5).TotalSeconds, bench.Now.TotalSeconds, 1.0);
        Assert.InRange(bench.Wishes.Count, 5, 20);
    }

    [Fact]
    public void The_pause_after_lost_connections_ends_with_news_of_the_peer_and_with_a_response()
    {
        _bench.Begin();
        _bench.UpAndLost();
        _bench.UpAndLost();
        int wishes = _bench.Wishes.Count;
        _bench.Found();
        Assert.Equal(wishes + 1, _bench.Wishes.Count);
        Link link = _bench.Up();
        _bench.Succeed(_bench.Flights[^1]);
        _bench.Begin();
        link.IsLive = false;
        _bench.Fail(_bench.Flights[^1], RequestFailure.ConnectionClosed, FlightReach.NotBegun);
        _bench.Down(link);
        Assert.Equal(wishes + 2, _bench.Wishes.Count); // the first of a new row
    }

    [Fact]
    public void A_request_that_lost_connection_after_connection_does_not_pause_while_another_is_up()
    {
        QueuedRequest<Link> request = _bench.Begin();
        for (int i = 0; i < 3; i++)
        {
            Link lost = i == 0 ? _bench.Up() : _bench.Flights[^1].Connection;
            Link next = _bench.Up();
            lost.IsLive = false;
            _bench.Fail(_bench.Flights[^1], RequestFailure.ConnectionClosed, FlightReach.NotBegun); // later than the next is up
            Assert.Equal(RequestState.InFlight, request.State);
            Assert.Same(next, _bench.Flights[^1].Connection);
            _bench.Down(lost);
        }
    }

    [Theory]
    [InlineData((int)FlightReach.Unknown, false, false)]
    [InlineData((int)FlightReach.Unknown, true, true)]
    [InlineData((int)FlightReach.NotTaken, false, true)]
    public void A_request_in_flight_on_a_lost_connection_is_tried_again_only_when_that_is_safe(
        int reach, bool isIdempotent, bool isTriedAgain)
    {
        QueuedRequest<Link> request = _bench.Begin(new RetryPolicy(), isIdempotent);
        Link link = _bench.Up();
        link.IsLive = false;
        _bench.Fail(_bench.Flights[0], RequestFailure.ConnectionClosed, (FlightReach)reach);
        _bench.Down(link);
        Assert.Equal(isTriedAgain, _bench.Queue.IsPending(request.Id));
        if (isTriedAgain) return;
        Assert.Equal(RequestFailure.ConnectionClosed, Assert.Single(_bench.Failures).Error.Failure);
    }

    [Fact]
    public void Without_a_retry_policy_even_an_idempotent_request_fails_with_its_connection()
    {
        _bench.Begin(isIdempotent: true);
        _bench.Up();
        _bench.Fail(_bench.Flights[0], RequestFailure.ConnectionClosed);
        Assert.Equal(RequestFailure.ConnectionClosed, Assert.Single(_bench.Failures).Error.Failure);
    }

    [Fact]
    public void Final_failures_are_not_tried_again_whatever_the_policy()
    {
        _bench.Begin(RetryPolicy.UntilDeadline, isIdempotent: true);
        _bench.Up();
        _bench.Fail(_bench.Flights[0], RequestFailure.UnsupportedProtocols, isPassing: false);
        Assert.Equal(RequestFailure.UnsupportedProtocols, Assert.Single(_bench.Failures).Error.Failure);
    }

    [Fact]
    public void Retries_wait_with_full_jitter_under_a_bound_that_doubles()
    {
        QueuedRequest<Link> request = _bench.Begin(
            new RetryPolicy { MaxAttempts = 5, InitialDelay = TimeSpan.FromSeconds(1), MaxDelay = TimeSpan.FromSeconds(3) }, seconds: 100);
        _bench.Random = 0.5;
        double[] bounds = [1, 2, 3, 3];
        foreach (double bound in bounds)
        {
            _bench.NotConnected();
            Assert.Equal(_bench.Now + TimeSpan.FromSeconds(bound / 2), _bench.Queue.NextDue);
            Assert.Equal(RequestState.BackingOff, request.State);
            Assert.Equal(_bench.Wishes.Count - 1, _bench.Wishes.IndexOf(_bench.Wishes[^1]));
            _bench.Tick(_bench.Queue.NextDue.TotalSeconds);
            Assert.Equal(RequestState.Queued, request.State);
        }

        _bench.NotConnected("the fifth");
        Assert.Equal(4, _bench.Retries.Count);
        Assert.Contains("the fifth", Assert.Single(_bench.Failures).Error.Message);
        Assert.Equal(5, _bench.Wishes.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void News_of_the_peer_wakes_a_waiting_retry(bool byConnection)
    {
        QueuedRequest<Link> request = _bench.Begin(RetryPolicy.UntilDeadline);
        _bench.Random = 0.99;
        _bench.NotConnected();
        Assert.Equal(RequestState.BackingOff, request.State);
        if (byConnection) _bench.Up();
        else _bench.Found();
        Assert.Equal(byConnection ? RequestState.InFlight : RequestState.Queued, request.State);
        Assert.Equal(byConnection ? 1 : 2, _bench.Wishes.Count);
    }

    [Fact]
    public void Retries_leave_an_unreachable_peer_alone_for_a_while_first_attempts_do_not()
    {
        _bench.Begin(RetryPolicy.UntilDeadline);
        Assert.False(_bench.Wishes[0].IsPatient);
        _bench.NotConnected();
        _bench.Tick(_bench.Queue.NextDue.TotalSeconds);
        Assert.True(_bench.Wishes[1].IsPatient);
        _bench.Begin();
        Assert.Same(_bench.Wishes[1], Assert.Single(_bench.EndedWishes));
        Assert.False(_bench.Wishes[2].IsPatient);
        _bench.Begin();
        Assert.Equal(3, _bench.Wishes.Count);
        _bench.Up();
        Assert.Equal([1L, 2, 3], _bench.Flights.Select(f => f.Request.Id));
    }

    [Fact]
    public void A_retry_that_no_longer_fits_waits_for_news_and_then_fails_with_the_last_cause()
    {
        QueuedRequest<Link> request = _bench.Begin(
            new RetryPolicy { InitialDelay = TimeSpan.FromMinutes(1), MaxDelay = TimeSpan.FromMinutes(1) }, seconds: 10);
        _bench.Random = 0.9;
        _bench.NotConnected("connection refused");
        _bench.Tick(9.9);
        Assert.Equal(RequestState.BackingOff, request.State);
        _bench.Tick(10);
        RequestException error = Assert.Single(_bench.Failures).Error;
        Assert.Equal(RequestFailure.DialFailure, error.Failure);
        Assert.Contains("connection refused", error.Message);
        Assert.Equal(TimeSpan.FromSeconds(10), error.Times.BackingOff);
    }

    [Fact]
    public void The_budget_ends_retries_before_the_deadline()
    {
        _bench.Begin(new RetryPolicy { MaxAttempts = 100, Budget = TimeSpan.FromSeconds(3) }, seconds: 60);
        _bench.Tick(2.9);
        _bench.NotConnected();
        Assert.Empty(_bench.Failures);
        _bench.Tick(3);
        Assert.Equal(RequestFailure.DialFailure, Assert.Single(_bench.Failures).Error.Failure);
    }

    [Fact]
    public void The_deadline_says_in_which_stage_the_time_went()
    {
        QueuedRequest<Link> dialing = _bench.Begin(seconds: 5);
        _bench.Tick(5);
        Check(dialing, RequestStage.Dialing, t => t.Dialing, 5);

        Link link = _bench.Up();
        _bench.Begin(seconds: 4);
        _bench.Now = TimeSpan.FromSeconds(6);
        _bench.Flights[^1].Negotiated(_bench.Now);
        _bench.Flights[^1].Stage = RequestStage.Receiving;
        _bench.Tick(9);
        RequestException error = Check(_bench.Flights[^1].Request, RequestStage.Receiving, t => t.Exchanging, 3);
        Assert.Equal(TimeSpan.FromSeconds(1), error.Times.Negotiating);
        Assert.Same(_bench.Flights[^1], Assert.Single(_bench.Stopped));

        for (int i = 0; i < 100; i++) _bench.Begin(seconds: 100); // one place is still held by the stopped flight
        QueuedRequest<Link> queued = _bench.Begin(seconds: 2);
        _bench.Tick(11);
        Check(queued, RequestStage.Queued, t => t.Queued, 2);
        Assert.True(link.IsLive);

        RequestException Check(QueuedRequest<Link> request, RequestStage stage, Func<RequestTimes, TimeSpan> time, int seconds)
        {
            RequestException error = _bench.Failures.Single(f => f.Request == request).Error;
            Assert.Equal(RequestFailure.Timeout, error.Failure);
            Assert.Equal(TransportError.Timeout, error.Error);
            Assert.Equal(stage, error.Stage);
            Assert.Equal(TimeSpan.FromSeconds(seconds), time(error.Times));
            return error;
        }
    }

    [Fact]
    public void A_full_queue_lets_callers_in_by_turn()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedRequests = 2, MaxConcurrentStreams = 1 });
        for (int i = 0; i < 5; i++) bench.Begin();
        Assert.Equal([1L, 2], bench.Accepted.Select(r => r.Id));
        bench.Up();
        Assert.Equal([1L, 2, 3], bench.Accepted.Select(r => r.Id));
        bench.Succeed(bench.Flights[^1]);
        Assert.Equal([1L, 2, 3, 4], bench.Accepted.Select(r => r.Id));
        bench.Succeed(bench.Flights[^1]);
        bench.Succeed(bench.Flights[^1]);
        bench.Succeed(bench.Flights[^1]);
        bench.Succeed(bench.Flights[^1]);
        Assert.Equal([1L, 2, 3, 4, 5], bench.Flights.Select(f => f.Request.Id));
        Assert.Equal(0, bench.Queue.PendingCount);
    }

    [Fact]
    public void Bytes_bound_the_queue_as_well_but_never_keep_a_request_out_for_good()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedBytes = 100 });
        bench.Begin(size: 500);
        QueuedRequest<Link> second = bench.Begin(size: 1);
        Assert.Equal(RequestState.Waiting, second.State);
        bench.Up();
        Assert.Equal([1L, 2], bench.Flights.Select(f => f.Request.Id));
    }

    [Theory]
    [InlineData(QueueFullMode.Wait)]
    [InlineData(QueueFullMode.Fail)]
    public void Exactly_full_is_not_too_full_and_one_byte_more_is(QueueFullMode mode)
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedBytes = 100, WhenFull = mode });
        bench.Begin(size: 60);
        QueuedRequest<Link> full = bench.Begin(size: 40), empty = bench.Begin(size: 0), beyond = bench.Begin(size: 1);
        Assert.Equal((RequestState.Queued, RequestState.Queued), (full.State, empty.State));
        Assert.Equal(mode == QueueFullMode.Wait ? RequestState.Waiting : RequestState.Done, beyond.State);
        bench.Do(steps => bench.Queue.Cancel(full, bench.Now, steps));
        Assert.Equal(mode == QueueFullMode.Wait ? RequestState.Queued : RequestState.Done, beyond.State);
        Assert.Equal(RequestState.Queued, bench.Begin(size: mode == QueueFullMode.Wait ? 39 : 40).State);
    }

    [Fact]
    public void A_request_larger_than_the_whole_queue_gets_its_turn()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedBytes = 100, MaxConcurrentStreams = 1 });
        bench.Begin(size: 50);
        bench.Begin(size: 50);
        QueuedRequest<Link> huge = bench.Begin(size: 500), last = bench.Begin(size: 1);
        Assert.Equal((RequestState.Waiting, RequestState.Waiting), (huge.State, last.State)); // nobody overtakes it
        bench.Up();
        Assert.Equal(RequestState.Waiting, huge.State);
        bench.Succeed(bench.Flights[^1]); // the second goes out, the queue is empty
        Assert.Equal((RequestState.Queued, RequestState.Waiting), (huge.State, last.State));
        bench.Succeed(bench.Flights[^1]);
        Assert.Equal((RequestState.InFlight, RequestState.Queued), (huge.State, last.State));
        bench.Succeed(bench.Flights[^1]);
        bench.Succeed(bench.Flights[^1]);
        Assert.Equal(0, bench.Queue.PendingCount);
    }

    [Fact]
    public void Room_is_given_back_however_a_request_leaves()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedRequests = 1, WhenFull = QueueFullMode.Fail });
        QueuedRequest<Link> request = bench.Begin(size: 60);
        bench.Do(steps => bench.Queue.Cancel(request, bench.Now, steps));
        bench.Begin(RetryPolicy.UntilDeadline, seconds: 5);
        bench.NotConnected();
        bench.Begin();
        RequestException full = Assert.Single(bench.Failures, f => f.Error.Failure == RequestFailure.QueueFull).Error;
        Assert.Contains(nameof(RequestProtocolOptions.MaxQueuedRequests), full.Message);
        Assert.Equal(TransportError.LimitExceeded, full.Error);
        bench.Tick(5);
        bench.Begin();
        Assert.Single(bench.Failures, f => f.Error.Failure == RequestFailure.QueueFull);
        bench.NotConnected();
        Assert.Equal(0, bench.Queue.PeerCount);
    }

    [Fact]
    public void A_waiting_caller_can_give_up_and_runs_out_of_time_like_any_other()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedRequests = 1 });
        bench.Begin(seconds: 100);
        QueuedRequest<Link> cancelled = bench.Begin(), late = bench.Begin(seconds: 3), last = bench.Begin(seconds: 100);
        bench.Do(steps => bench.Queue.Cancel(cancelled, bench.Now, steps));
        bench.Tick(3);
        Assert.Equal([RequestFailure.Cancelled, RequestFailure.Timeout], bench.Failures.Select(f => f.Error.Failure));
        Assert.Equal(RequestStage.Queued, bench.Failures[1].Error.Stage);
        bench.Up();
        Assert.Equal([1L, last.Id], bench.Flights.Select(f => f.Request.Id));
        Assert.Equal(RequestState.Done, late.State);
    }

    [Fact]
    public void A_response_that_comes_after_the_deadline_is_not_the_result()
    {
        _bench.Begin(seconds: 1);
        _bench.Up();
        _bench.Tick(1);
        _bench.Succeed(_bench.Flights[0], isResult: false);
        Assert.Equal(RequestFailure.Timeout, Assert.Single(_bench.Failures).Error.Failure);
    }

    [Fact]
    public void A_wish_that_ends_with_a_dead_connection_is_made_again()
    {
        _bench.Begin();
        var dead = new Link { IsLive = false };
        _bench.Do(steps => _bench.Queue.Connected(_bench.Wishes[0], dead, _bench.Now, steps));
        Assert.Equal(2, _bench.Wishes.Count);
        Assert.Empty(_bench.Flights);
        var good = new Link();
        _bench.Do(steps => _bench.Queue.Connected(_bench.Wishes[1], good, _bench.Now, steps));
        Assert.Same(good, Assert.Single(_bench.Flights).Connection);
    }

    [Fact]
    public void Closing_fails_everything_once_and_leaves_nothing_behind()
    {
        var bench = new RequestQueueBench(new RequestProtocolOptions { MaxQueuedRequests = 3, MaxConcurrentStreams = 1 });
        Link link = bench.Up();
        for (int i = 0; i < 6; i++) bench.Begin();
        QueuedRequest<Link> elsewhere = bench.Begin(RetryPolicy.UntilDeadline, peer: RequestQueueBench.NewPeer());
        bench.NotConnected();
        bench.Do(steps => bench.Queue.Close(bench.Now, steps));
        Assert.Equal(Enumerable.Range(1, 7).Select(i => (long)i), bench.Failures.Select(f => f.Request.Id));
        Assert.All(bench.Failures, f => Assert.Equal(RequestFailure.Aborted, f.Error.Failure));
        Assert.Same(bench.Flights[0], Assert.Single(bench.Stopped));
        bench.Fail(bench.Flights[0], RequestFailure.Io);
        bench.Down(link);
        bench.Begin();
        Assert.Equal(8, bench.Failures.Count);
        Assert.Equal((0, 0, TimeSpan.MaxValue), (bench.Queue.PendingCount, bench.Queue.PeerCount, bench.Queue.NextDue));
        Assert.Equal(RequestState.Done, elsewhere.State);
    }
}
