using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
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
        Swarm a = await nodes.StartAsync("a", (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            MeterFactory = meters,
        });
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
        Assert.Equal(3, meters.Sum("fastshare.request.failed", "dial_failure"));
        Assert.Equal(5, meters.Sum("fastshare.request.failed", "cancelled"));

        Task<ReadOnlyMemory<byte>>[] Begin(int count, RequestOptions? options, CancellationToken token) =>
            [.. Enumerable.Range(0, count).Select(i => asks.SendAsync(b.LocalPeer, Bytes($"{i}"), options, token))];
    }

    /// <summary>The meters of one node, and everything they measured.</summary>
    private sealed class Meters : IMeterFactory
    {
        private readonly List<Meter> _meters = [];
        private readonly MeterListener _listener = new();
        private readonly ConcurrentQueue<(string Name, double Value, string? Error)> _measured = new();

        public Meters()
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                lock (_meters)
                {
                    if (_meters.Contains(instrument.Meter)) listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
            _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
            _listener.Start();
        }

        public Meter Create(MeterOptions options)
        {
            var meter = new Meter(options);
            lock (_meters) _meters.Add(meter);
            return meter;
        }

        public double Sum(string name, string? error = null) =>
            _measured.Where(m => m.Name == name && (error is null || m.Error == error)).Sum(m => m.Value);

        public int Count(string name) => _measured.Count(m => m.Name == name);

        public void Dispose()
        {
            _listener.Dispose();
            lock (_meters) _meters.ForEach(m => m.Dispose());
        }

        private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string? error = null;
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                if (tag.Key == "error.type") error = (string?)tag.Value;
            }

            _measured.Enqueue((instrument.Name, value, error));
        }
    }
}
