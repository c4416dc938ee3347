using System.Threading.Channels;
using FastShare.Transport.Security;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// The streams of a connection, those waiting to be accepted, and the limits on both. Guarded by the connection's gate, except
/// for waiting on <see cref="OpenSlots"/> and <see cref="Accepts"/>.
/// </summary>
internal sealed class StreamTable
{
    private readonly YamuxConnection _connection;
    private readonly Dictionary<uint, YamuxStream> _streams = [];
    private readonly HashSet<YamuxStream> _lingering = []; // part of the table, waiting for the remote end only
    private readonly InboundIds _inboundIds = new();
    private readonly Channel<YamuxStream> _accepts = Channel.CreateUnbounded<YamuxStream>(); // bounded by the accept backlog
    private readonly uint _remoteParity;
    private ulong _nextId; // wider than an id, so that it can run out
    private int _withheld; // open slots that come with the remote side's first answer
    private int _inbound; // slots taken by the remote side's streams
    private bool _closed;

    public StreamTable(YamuxConnection connection, ConnectionRole role)
    {
        _connection = connection;
        _nextId = role == ConnectionRole.Dialer ? 1u : 2u;
        _remoteParity = role == ConnectionRole.Dialer ? 0u : 1u;
        int atFirst = Math.Min(connection.Options.MaxUnacknowledgedAtFirst, connection.Options.MaxUnacknowledged);
        OpenSlots = new SemaphoreSlim(atFirst);
        _withheld = connection.Options.MaxUnacknowledged - atFirst;
    }

    /// <summary>What became of a SYN.</summary>
    internal enum Admission
    {
        /// <summary>The stream exists now and waits to be accepted.</summary>
        Admitted,

        /// <summary>A limit is reached; the stream is to be refused.</summary>
        Refused,

        /// <summary>The id is not one that the remote side may open.</summary>
        WrongParity,

        /// <summary>The id was used before.</summary>
        Reused,
    }

    /// <summary>Streams in the table.</summary>
    public int Count => _streams.Count;

    /// <summary>What keeps the connection from being idle.</summary>
    public UseCount Uses { get; } = new();

    /// <summary>
    /// One for each own stream that may be opened before others are acknowledged. After the end, one for everybody in turn.
    /// </summary>
    public SemaphoreSlim OpenSlots { get; }

    /// <summary>Streams of the remote side in the order of their arrival; completed after the end.</summary>
    public ChannelReader<YamuxStream> Accepts => _accepts.Reader;

    /// <summary>Whether no further own stream can be numbered.</summary>
    public bool IsExhausted => _nextId > uint.MaxValue;

    public bool TryGet(uint id, out YamuxStream? stream) => _streams.TryGetValue(id, out stream);

    /// <summary>A new own stream, not announced yet; null: there are no ids left.</summary>
    public YamuxStream? Open()
    {
        if (IsExhausted) return null;
        var stream = new YamuxStream(_connection, (uint)_nextId, isRemote: false);
        _nextId += 2;
        _streams.Add(stream.StreamId, stream);
        Uses.Enter();
        return stream;
    }

    /// <summary>Checks a SYN from the remote side and makes its stream. Every limit is checked before any state is made.</summary>
    public Admission Admit(uint id, bool refuse, out YamuxStream? stream)
    {
        stream = null;
        if ((id & 1) != _remoteParity) return Admission.WrongParity;
        if (!_inboundIds.TryUse(id)) return Admission.Reused;
        YamuxOptions options = _connection.Options;
        if (refuse || _closed || _accepts.Reader.Count >= options.AcceptBacklog || _inbound >= options.MaxInboundStreams)
            return Admission.Refused;
        _inbound++;
        stream = new YamuxStream(_connection, id, isRemote: true);
        _streams.Add(id, stream);
        Uses.Enter();
        return Admission.Admitted;
    }

    /// <summary>Offers an admitted stream to whoever accepts.</summary>
    public void Offer(YamuxStream stream) => _accepts.Writer.TryWrite(stream);

    public void Remove(YamuxStream stream)
    {
        _streams.Remove(stream.StreamId);
        _lingering.Remove(stream);
    }

    public void ReleaseInboundSlot() => _inbound--;

    /// <summary>The remote side answered an own stream.</summary>
    public void OnAcknowledged()
    {
        OpenSlots.Release(1 + _withheld);
        _withheld = 0;
    }

    /// <summary>An own stream is over before the remote side answered it.</summary>
    public void OnAbandoned() => OpenSlots.Release();

    /// <summary>Remembers a stream that waits for the remote end only.</summary>
    public void Linger(YamuxStream stream) => _lingering.Add(stream);

    /// <summary>Resets streams that have waited for the remote end long enough.</summary>
    public void ResetLingering(TimeSpan now)
    {
        if (_lingering.Count == 0) return;
        foreach (YamuxStream stream in _lingering.Where(stream => stream.LingerUntil <= now).ToArray()) stream.ResetLocked();
    }

    /// <summary>Ends every stream and lets everyone go who waits for one.</summary>
    /// <param name="failure">What they fail with.</param>
    /// <param name="goodbye">The remote side closed in good order: it will never take what it has not answered.</param>
    public void Close(TransportException failure, bool goodbye)
    {
        _closed = true;
        foreach (YamuxStream stream in _streams.Values.ToArray()) stream.OnConnectionOver(failure, goodbye);
        _accepts.Writer.TryComplete();
        while (_accepts.Reader.TryRead(out YamuxStream? unaccepted)) unaccepted.Incoming.Complete();
        StopOpening();
    }

    /// <summary>Lets everyone go who waits to open a stream.</summary>
    public void StopOpening() => OpenSlots.Release(); // whoever gets it sees that there is nothing to open and passes it on
}
