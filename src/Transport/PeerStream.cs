using System.IO.Pipelines;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols;

namespace FastShare.Transport;

/// <summary>A stream with its negotiated protocol. See <see cref="IMuxedStream"/> for the directions' contract.</summary>
/// <remarks>
/// A stream that this side opened may be negotiated along with its first bytes. A refusal then shows as
/// <see cref="TransportError.UnsupportedProtocol"/> from the first read, so a protocol should read something before it counts
/// what it wrote as delivered.
/// </remarks>
public sealed class PeerStream : IDuplexPipe, IAsyncDisposable
{
    private readonly IMuxedStream _stream;
    private readonly LazyNegotiation? _negotiation;

    /// <summary>Takes over <paramref name="stream"/>, whose directions are used through <paramref name="negotiated"/>.</summary>
    internal PeerStream(PeerConnection connection, string protocol, IMuxedStream stream, IDuplexPipe negotiated)
    {
        Connection = connection;
        Protocol = protocol;
        _stream = stream;
        _negotiation = negotiated as LazyNegotiation;
        Input = negotiated.Input;
        Output = negotiated.Output;
    }

    /// <summary>The negotiated protocol.</summary>
    public string Protocol { get; }

    /// <summary>The connection that carries it.</summary>
    public PeerConnection Connection { get; }

    /// <inheritdoc/>
    public PipeReader Input { get; }

    /// <inheritdoc/>
    public PipeWriter Output { get; }

    /// <inheritdoc cref="IMuxedStream.WidenWindow"/>
    public void WidenWindow(int bytes) => _stream.WidenWindow(bytes);

    /// <inheritdoc cref="IMuxedStream.IgnoreForKeepAlive"/>
    public void IgnoreForKeepAlive() => _stream.IgnoreForKeepAlive();

    /// <inheritdoc cref="IMuxedStream.Closed"/>
    public Task Closed => _stream.Closed;

    /// <summary>Ends both directions at once. Idempotent, never throws.</summary>
    public void Reset() => _stream.Reset();

    /// <summary>Completes both directions; resets the stream where that is no orderly end.</summary>
    public ValueTask DisposeAsync() =>
        _negotiation is { Ending: { IsCompleted: false } ending } ? DisposeBehindAsync(ending) : _stream.DisposeAsync();

    private async ValueTask DisposeBehindAsync(Task ending)
    {
        await ending.ConfigureAwait(false);
        await _stream.DisposeAsync().ConfigureAwait(false);
    }
}
