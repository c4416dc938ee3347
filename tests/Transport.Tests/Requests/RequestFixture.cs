using System.Text;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Requests;

/// <summary>Two nodes, A which asks and B which answers, with a protocol of raw bytes.</summary>
internal sealed class RequestFixture : IAsyncDisposable
{
    public const string Id = "/test/ask/1";

    private readonly List<IAsyncDisposable> _parts = [];

    public TestNodes Nodes { get; } = new();

    public Swarm A { get; private set; } = null!;

    public Swarm B { get; private set; } = null!;

    public static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<RequestFixture> StartAsync(
        Func<PeerIdentity, ITransport, SwarmOptions>? configureA = null, Func<PeerIdentity, ITransport, SwarmOptions>? configureB = null,
        bool introduce = true)
    {
        var fixture = new RequestFixture();
        fixture.A = await fixture.Nodes.StartAsync("a", configureA);
        fixture.B = await fixture.Nodes.StartAsync("b", configureB);
        if (introduce) fixture.A.AddAddresses(fixture.B.LocalPeer, fixture.B.ListenAddresses);
        return fixture;
    }

    public RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Asks(
        RequestProtocolOptions? options = null, Swarm? on = null, Func<double>? random = null) =>
        Add(new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            on ?? A, Protocol(options ?? new RequestProtocolOptions { Direction = RequestDirection.Outbound }), null,
            random ?? Random.Shared.NextDouble));

    public RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Answers(
        RequestHandler<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? handler = null, RequestProtocolOptions? options = null,
        Swarm? on = null) =>
        Add(new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(on ?? B, Protocol(options), handler ?? Echo));

    public T Add<T>(T part)
        where T : IAsyncDisposable
    {
        _parts.Add(part);
        return part;
    }

    public static ValueTask<ReadOnlyMemory<byte>> Echo(RequestContext context, ReadOnlyMemory<byte> request, CancellationToken token) =>
        ValueTask.FromResult(request);

    public static RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Protocol(RequestProtocolOptions? options = null) =>
        new(Id, BytesCodec.Instance, BytesCodec.Instance, options);

    public static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);

    public static async Task<RequestException> FailsAsync<T>(Task<T> response, RequestFailure failure)
    {
        RequestException error = await Assert.ThrowsAsync<RequestException>(() => response);
        Assert.True(failure == error.Failure, $"{error.Failure} instead of {failure}: {error.Message}");
        return error;
    }

    public static TaskCompletionSource Signal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The first event of a kind; what comes before it is passed over.</summary>
    public static async Task<T> FirstAsync<T>(IAsyncEnumerable<RequestEvent> events)
        where T : RequestEvent
    {
        await foreach (RequestEvent change in events.WithCancellation(Token))
        {
            if (change is T wanted) return wanted;
        }

        throw new InvalidOperationException("the events ended");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IAsyncDisposable part in _parts) await part.DisposeAsync();
        await Nodes.DisposeAsync();
    }
}

/// <summary>Does something with every connection that comes up.</summary>
internal sealed class OnUp(Action<PeerConnection> action) : IConnectionObserver
{
    public void ConnectionUp(PeerConnection connection) => action(connection);

    public void ConnectionDown(PeerConnection connection, TransportException? reason)
    {
    }

    public void PeerFound(PeerId peer)
    {
    }
}
