using System.Diagnostics;
using System.Diagnostics.Metrics;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Telemetry;

/// <summary>
/// The instruments of the meter <see cref="Name"/>; names, units and tags are in docs/telemetry.md. Thread-safe. While nobody
/// listens a call costs a branch: no tags are made, no clock is read.
/// </summary>
/// <remarks>
/// Names and units follow OpenTelemetry's conventions: a counter counts <c>{things}</c>, durations are seconds, an outcome is the tag
/// <c>error.type</c>, absent for success. No tag has values that a remote side can make up.
/// </remarks>
internal sealed class TransportInstruments
{
    /// <summary>Of the meter and of the activity source.</summary>
    public const string Name = "FastShare.Transport";

    /// <summary>Of activities only: a peer id on a metric would make a series of its own for everybody who ever connects.</summary>
    public const string PeerTag = "fastshare.peer.id";

    private static readonly string? _version = typeof(TransportInstruments).Assembly.GetName().Version?.ToString(3);

    private readonly Counter<long> _dialsStarted;
    private readonly Counter<long> _dialsFailed;
    private readonly Histogram<double> _dialDuration;
    private readonly Histogram<double> _handshakeDuration;
    private readonly UpDownCounter<long> _connections;
    private readonly Counter<long> _connectionsClosed;
    private readonly Counter<long> _streams;
    private readonly Counter<long> _streamsFailed;
    private readonly UpDownCounter<long> _requestsQueued;
    private readonly UpDownCounter<long> _requestsActive;
    private readonly Histogram<double> _requestDuration;
    private readonly Counter<long> _requestsFailed;
    private readonly Counter<long> _requestRetries;
    private readonly ConnectionTotals _totals = new();

    public TransportInstruments(Meter meter)
    {
        meter.CreateObservableCounter(
            "fastshare.connection.io", _totals.ObserveBytes, "By", "Bytes on the wire of connections");
        meter.CreateObservableCounter(
            "fastshare.connection.stage.time", _totals.ObserveTimes, "s", "Time that connections spend in a stage, or wait");
        _dialsStarted = meter.CreateCounter<long>("fastshare.dial.started", "{dial}", "Dials that got under way");
        _dialsFailed = meter.CreateCounter<long>("fastshare.dial.failed", "{dial}", "Dials that failed");
        _dialDuration = Durations(meter, "fastshare.dial.duration", "From a dial's start to its connection or failure");
        _handshakeDuration = Durations(
            meter, "fastshare.connection.handshake.duration", "Negotiation of security and multiplexer, from the bare connection on");
        _connections = meter.CreateUpDownCounter<long>("fastshare.connection.active", "{connection}", "Connections that are open");
        _connectionsClosed = meter.CreateCounter<long>("fastshare.connection.closed", "{connection}", "Connections that ended");
        _streams = meter.CreateCounter<long>("fastshare.stream.opened", "{stream}", "Streams opened by either side");
        _streamsFailed = meter.CreateCounter<long>("fastshare.stream.failed", "{stream}", "Streams not opened, or whose handler failed");
        _requestsQueued = meter.CreateUpDownCounter<long>("fastshare.request.queued", "{request}", "Requests that wait for a connection or place");
        _requestsActive = meter.CreateUpDownCounter<long>("fastshare.request.active", "{request}", "Requests under way on a stream");
        _requestDuration = Durations(meter, "fastshare.request.duration", "From the call to the response or failure; inbound: of the answer");
        _requestsFailed = meter.CreateCounter<long>("fastshare.request.failed", "{request}", "Requests that failed");
        _requestRetries = meter.CreateCounter<long>("fastshare.request.retried", "{request}", "Further attempts of requests");
    }

    /// <summary>Those of every swarm that was given no meter factory.</summary>
    public static TransportInstruments Shared { get; } = new(new Meter(Name, _version));

    /// <summary>Activities of dials, handshakes and requests.</summary>
    public static ActivitySource Activities { get; } = new(Name, _version);

    /// <summary>Whether anybody wants durations of dials, so that the clock is to be read.</summary>
    public bool MeasuresDials => _dialDuration.Enabled;

    /// <summary>Whether anybody wants durations of handshakes.</summary>
    public bool MeasuresHandshakes => _handshakeDuration.Enabled;

    /// <summary>Whether anybody wants durations of requests.</summary>
    public bool MeasuresRequests => _requestDuration.Enabled;

    /// <summary>The instruments of a factory's meter; the shared ones without a factory.</summary>
    public static TransportInstruments For(IMeterFactory? factory) =>
        factory is null ? Shared : new TransportInstruments(factory.Create(new MeterOptions(Name) { Version = _version }));

    public void DialStarted() => _dialsStarted.Add(1);

    /// <summary>A dial came to a connection or failed; <paramref name="error"/>: why. One that was given up is not reported.</summary>
    public void DialEnded(TimeSpan elapsed, TransportError? error)
    {
        if (error is { } kind && _dialsFailed.Enabled) _dialsFailed.Add(1, ErrorTag(kind));
        if (!_dialDuration.Enabled) return;
        if (error is { } failure) _dialDuration.Record(elapsed.TotalSeconds, ErrorTag(failure));
        else _dialDuration.Record(elapsed.TotalSeconds);
    }

    public void HandshakeEnded(TimeSpan elapsed, bool inbound, TransportError? error)
    {
        if (!_handshakeDuration.Enabled) return;
        if (error is { } kind) _handshakeDuration.Record(elapsed.TotalSeconds, Direction(inbound), ErrorTag(kind));
        else _handshakeDuration.Record(elapsed.TotalSeconds, Direction(inbound));
    }

    /// <summary>A connection is open. The result goes into <see cref="ConnectionClosed"/>: who listens later counts no ends without starts.</summary>
    public bool ConnectionOpened(bool inbound)
    {
        if (!_connections.Enabled) return false;
        _connections.Add(1, Direction(inbound));
        return true;
    }

    public void ConnectionClosed(bool wasCounted, bool inbound, DisconnectCause cause)
    {
        if (wasCounted) _connections.Add(-1, Direction(inbound));
        if (_connectionsClosed.Enabled)
            _connectionsClosed.Add(1, Direction(inbound), new("fastshare.connection.close.cause", NamesOf<DisconnectCause>.Of(cause)));
    }

    /// <summary>A connection takes part in the sums, until <see cref="Remove"/>.</summary>
    public void Add(ConnectionCounters connection) => _totals.Add(connection);

    /// <summary>A connection is over; what it counted stays in the sums.</summary>
    public void Remove(ConnectionCounters connection) => _totals.Remove(connection);

    public void StreamOpened(string protocol, bool inbound)
    {
        if (_streams.Enabled) _streams.Add(1, Direction(inbound), Protocol(protocol));
    }

    /// <summary>A stream was not opened, or its handler failed; without a protocol it was not agreed on.</summary>
    public void StreamFailed(string? protocol, bool inbound, TransportError error)
    {
        if (!_streamsFailed.Enabled) return;
        if (protocol is null) _streamsFailed.Add(1, Direction(inbound), ErrorTag(error));
        else _streamsFailed.Add(1, Direction(inbound), Protocol(protocol), ErrorTag(error));
    }

    /// <summary>A request waits; false: nobody counts, so <see cref="RequestDequeued"/> must not be called.</summary>
    public bool RequestQueued(string protocol)
    {
        if (!_requestsQueued.Enabled) return false;
        _requestsQueued.Add(1, Protocol(protocol));
        return true;
    }

    public void RequestDequeued(string protocol) => _requestsQueued.Add(-1, Protocol(protocol));

    /// <summary>A request got its stream; false: nobody counts, so <see cref="RequestLeftStream"/> must not be called.</summary>
    public bool RequestGotStream(string protocol, bool inbound)
    {
        if (!_requestsActive.Enabled) return false;
        _requestsActive.Add(1, Direction(inbound), Protocol(protocol));
        return true;
    }

    public void RequestLeftStream(string protocol, bool inbound) => _requestsActive.Add(-1, Direction(inbound), Protocol(protocol));

    public void RequestRetried(string protocol)
    {
        if (_requestRetries.Enabled) _requestRetries.Add(1, Protocol(protocol));
    }

    /// <summary>A request of this node has its response, or failed in <paramref name="stage"/>.</summary>
    public void RequestEnded(string protocol, TimeSpan elapsed, RequestFailure? failure, RequestStage stage)
    {
        if (failure is not { } kind)
        {
            if (_requestDuration.Enabled) _requestDuration.Record(elapsed.TotalSeconds, Direction(inbound: false), Protocol(protocol));
            return;
        }

        KeyValuePair<string, object?> error = new("error.type", NamesOf<RequestFailure>.Of(kind));
        if (_requestDuration.Enabled) _requestDuration.Record(elapsed.TotalSeconds, Direction(inbound: false), Protocol(protocol), error);
        if (!_requestsFailed.Enabled) return;
        var tags = new TagList
        {
            Direction(inbound: false), Protocol(protocol), error, new("fastshare.request.stage", NamesOf<RequestStage>.Of(stage)),
        };
        _requestsFailed.Add(1, tags);
    }

    /// <summary>A request of the remote side was answered, or was not.</summary>
    public void RequestAnswered(string protocol, TimeSpan elapsed, InboundFailure? failure)
    {
        if (failure is not { } kind)
        {
            if (_requestDuration.Enabled) _requestDuration.Record(elapsed.TotalSeconds, Direction(inbound: true), Protocol(protocol));
            return;
        }

        KeyValuePair<string, object?> error = new("error.type", NamesOf<InboundFailure>.Of(kind));
        if (_requestDuration.Enabled) _requestDuration.Record(elapsed.TotalSeconds, Direction(inbound: true), Protocol(protocol), error);
        if (_requestsFailed.Enabled) _requestsFailed.Add(1, Direction(inbound: true), Protocol(protocol), error);
    }

    /// <summary>Begins the activity of a dial, or of a handshake; null: nobody listens.</summary>
    public static Activity? StartDial(PeerId peer, int addresses)
    {
        Activity? activity = Activities.StartActivity("fastshare.dial", ActivityKind.Client);
        activity?.SetTag(PeerTag, peer.ToString());
        activity?.SetTag("fastshare.dial.addresses", addresses);
        return activity;
    }

    /// <inheritdoc cref="StartDial"/>
    public static Activity? StartHandshake(bool inbound, Multiaddr remote)
    {
        Activity? activity = Activities.StartActivity("fastshare.handshake", inbound ? ActivityKind.Server : ActivityKind.Client);
        activity?.SetTag("fastshare.direction", inbound ? "inbound" : "outbound");
        activity?.SetTag("network.peer.address", remote.ToString());
        return activity;
    }

    /// <inheritdoc cref="StartDial"/>
    public static Activity? StartRequest(string protocol, PeerId peer, bool inbound)
    {
        Activity? activity = Activities.StartActivity("fastshare.request", inbound ? ActivityKind.Server : ActivityKind.Client);
        activity?.SetTag("fastshare.protocol", protocol);
        activity?.SetTag(PeerTag, peer.ToString());
        return activity;
    }

    /// <summary>What <c>error.type</c> calls an error, on metrics and activities alike.</summary>
    public static string ErrorType(TransportError error) => NamesOf<TransportError>.Of(error);

    /// <summary>Marks an activity as failed.</summary>
    public static void Fail(Activity? activity, TransportException error)
    {
        if (activity is null) return;
        activity.SetStatus(ActivityStatusCode.Error, error.Message);
        activity.SetTag("error.type", ErrorType(error.Error));
    }

    private static Histogram<double> Durations(Meter meter, string name, string description) => meter.CreateHistogram(
        name, "s", description, tags: null,
        new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });

    private static KeyValuePair<string, object?> Direction(bool inbound) =>
        new("fastshare.direction", inbound ? "inbound" : "outbound");

    private static KeyValuePair<string, object?> Protocol(string protocol) => new("fastshare.protocol", protocol);

    private static KeyValuePair<string, object?> ErrorTag(TransportError error) => new("error.type", ErrorType(error));

    /// <summary>An enum's values in snake case, made once.</summary>
    private static class NamesOf<T>
        where T : struct, Enum
    {
        private static readonly Dictionary<T, string> _names = Enum.GetValues<T>().ToDictionary(value => value, value => Snake(value.ToString()));

        public static string Of(T value) => _names.TryGetValue(value, out string? name) ? name : "_OTHER";

        private static string Snake(string name) => string.Concat(
            name.Select((c, i) => char.IsUpper(c) ? (i > 0 ? "_" : "") + char.ToLowerInvariant(c) : c.ToString()));
    }
}
