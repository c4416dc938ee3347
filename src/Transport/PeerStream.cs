using System.IO.Pipelines;

namespace FastShare.Transport;

/// <summary>A stream with its negotiated protocol. See <see cref="Multiplexing.IMuxedStream"/> for the directions' contract.</summary>
public sealed class PeerStream : IDuplexPipe, IAsyncDisposable
{
    internal PeerStream()
    {
    }

    /// <summary>The negotiated protocol.</summary>
    public string Protocol => throw new NotImplementedException();

    /// <summary>The connection that carries it.</summary>
    public PeerConnection Connection => throw new NotImplementedException();

    /// <inheritdoc/>
    public PipeReader Input => throw new NotImplementedException();

    /// <inheritdoc/>
    public PipeWriter Output => throw new NotImplementedException();

    /// <summary>Ends both directions at once. Idempotent, never throws.</summary>
    public void Reset() => throw new NotImplementedException();

    /// <summary>Completes both directions; resets the stream where that is no orderly end.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
