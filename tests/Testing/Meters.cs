using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing;

/// <summary>A meter factory of a test's own, and all that its meters measured.</summary>
internal sealed class Meters : IMeterFactory
{
    private readonly List<Meter> _meters = [];
    private readonly ConcurrentQueue<(string Name, double Value, string[] Tags)> _measured = [];
    private readonly ConcurrentDictionary<string, string?> _names = [];
    private readonly MeterListener _listener = new();

    public Meters()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!ReferenceEquals(instrument.Meter.Scope, this)) return;
            _names[instrument.Name] = instrument.Unit;
            listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.Start();
    }

    public IReadOnlyDictionary<string, string?> Names => _names;

    public Meter Create(MeterOptions options)
    {
        options.Scope = this;
        var meter = new Meter(options);
        _meters.Add(meter);
        return meter;
    }

    public SwarmOptions Configure(PeerIdentity identity, ITransport transport) =>
        new() { Identity = identity, Transports = [transport], MeterFactory = this };

    public double Sum(string name, params string[] tags) => Matching(name, tags).Sum(one => one.Value);

    public int Count(string name, params string[] tags) => Matching(name, tags).Count();

    /// <summary>What observable instruments say now: the last value of each name and tags, summed over those that match.</summary>
    public double Observe(string name, params string[] tags)
    {
        _listener.RecordObservableInstruments();
        return Matching(name, tags).GroupBy(one => string.Join('|', one.Tags)).Sum(series => series.Last().Value);
    }

    public void Dispose()
    {
        _listener.Dispose();
        foreach (Meter meter in _meters) meter.Dispose();
    }

    private IEnumerable<(string Name, double Value, string[] Tags)> Matching(string name, string[] tags) =>
        _measured.Where(one => one.Name == name && tags.All(one.Tags.Contains));

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var texts = new List<string>();
        foreach (KeyValuePair<string, object?> tag in tags) texts.Add($"{tag.Key}={tag.Value}");
        _measured.Enqueue((instrument.Name, value, [.. texts]));
    }
}
