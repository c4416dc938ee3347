using System.Collections.Concurrent;
using System.Diagnostics;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Telemetry;
using static FastShare.Transport.Tests.Requests.RequestFixture;

namespace FastShare.Transport.Tests.Requests;

public sealed class RequestMetricsTests
{
    [Fact]
    public async Task What_is_queued_and_active_comes_back_to_zero_and_every_end_is_counted()
    {
        using var meters = new Meters();
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        Swarm a = await nodes.StartAsync("a", meters.Configure);
        Swarm b = await nodes.StartAsync(null);
        await using var answers = fixture.Answers(on: b);
        var asks = fixture.Asks(on: a);

        // Some fail with the dial, some are tried again and answered, some are cancelled while they wait.
        var patient = new RequestOptions { Retry = RetryPolicy.UntilDeadline, Timeout = TimeSpan.FromMinutes(1) };
        using var caller = new CancellationTokenSource();
        Task<ReadOnlyMemory<byte>>[] hasty = Begin(3, null, Token), lasting = Begin(4, patient, Token), leaving = Begin(5, patient, caller.Token);
        foreach (Task<ReadOnlyMemory<byte>> request in hasty) await FailsAsync(request, RequestFailure.DialFailure);
        await Eventually.BecomesTrueAsync(() => meters.Sum("fastshare.request.retried") >= 9, "the others wait to be tried again");
        Assert.Equal(9, meters.Sum("fastshare.request.queued"));
        await caller.CancelAsync();
        foreach (Task<ReadOnlyMemory<byte>> request in leaving) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        Assert.Equal(4, meters.Sum("fastshare.request.queued"));
        await b.ListenAsync(Multiaddr.Parse("/memory/b"), Token);
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        await Task.WhenAll(lasting);
        await asks.DisposeAsync();

        Assert.Equal(0, meters.Sum("fastshare.request.queued"));
        Assert.Equal(0, meters.Sum("fastshare.request.active"));
        Assert.Equal(8, meters.Sum("fastshare.request.failed"));
        Assert.Equal(12, meters.Count("fastshare.request.duration"));
        Assert.Equal(3, meters.Sum("fastshare.request.failed", "error.type=dial_failure"));
        Assert.Equal(5, meters.Sum("fastshare.request.failed", "error.type=cancelled"));

        Task<ReadOnlyMemory<byte>>[] Begin(int count, RequestOptions? options, CancellationToken token) =>
            [.. Enumerable.Range(0, count).Select(i => asks.SendAsync(b.LocalPeer, Bytes($"{i}"), options, token))];
    }

    [Fact]
    public async Task A_request_is_an_activity_on_both_sides_that_says_how_it_ended()
    {
        var ended = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == TransportInstruments.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers((_, request, _) => request.Length > 1 ? ValueTask.FromResult(request) : throw new InvalidOperationException("short"));
        var asks = fixture.Asks();
        await asks.SendAsync(fixture.B.LocalPeer, Bytes("fine"), null, Token);
        await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token), RequestFailure.Io);
        await Eventually.BecomesTrueAsync(() => Of(fixture.B).Length == 2 && Of(fixture.A).Length == 2, "all four have ended");

        Activity[] asked = Of(fixture.B), answered = Of(fixture.A);
        Assert.All(asked, one => Assert.Equal(ActivityKind.Client, one.Kind));
        Assert.All(answered, one => Assert.Equal(ActivityKind.Server, one.Kind));
        Assert.All(asked.Concat(answered), one => Assert.Equal(Id, one.GetTagItem("fastshare.protocol")));
        Assert.Equal([ActivityStatusCode.Unset, ActivityStatusCode.Error], asked.Select(one => one.Status));
        Assert.Equal([ActivityStatusCode.Unset, ActivityStatusCode.Error], answered.Select(one => one.Status));

        Activity[] Of(Swarm peer) =>
        [
            .. ended.Where(one => one.OperationName == "fastshare.request"
                && (string?)one.GetTagItem("fastshare.peer.id") == peer.LocalPeer.ToString()).OrderBy(one => one.StartTimeUtc),
        ];
    }
}
