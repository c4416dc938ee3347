using System.Diagnostics;
using System.IO.Pipelines;
using FastShare.Transport.Identity;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Requests.Internal;

/// <summary>A request with its payload and its caller, without the types of its messages.</summary>
/// <param name="peer">Whom it is for.</param>
/// <param name="payload">The encoded request; the call disposes it when nothing uses it any more. Null: it could not be encoded.</param>
/// <param name="timeout">The time it has.</param>
/// <param name="options">Its settings.</param>
/// <param name="cancellationToken">The caller's.</param>
internal abstract class OutboundCall(
    PeerId peer, MessageBuffer? payload, TimeSpan timeout, RequestOptions options, CancellationToken cancellationToken)
    : QueuedRequest<PeerConnection>(peer, payload?.Length ?? 0, timeout, options.Retry, options.IsIdempotent, options.Condition)
{
    private static readonly object IsAccepted = new();

    private object? _accepted; // null, then IsAccepted or a TaskCompletionSource and then IsAccepted; interlocked
    private int _isCounted; // among those that are queued, in the metrics; interlocked
    private int _users = 1; // of the payload: the call itself, and its flight; interlocked
    private RequestClient? _client; // set before the queue knows the call, as is the next
    private CancellationTokenRegistration _registration;

    public CancellationToken CancellationToken { get; } = cancellationToken;

    /// <summary>The encoded request, for who holds it.</summary>
    public ReadOnlyMemory<byte> Payload => payload!.Written;

    /// <summary>Completes when the queue has taken the request, or it is over.</summary>
    public Task Accepted
    {
        get
        {
            if (Volatile.Read(ref _accepted) == IsAccepted) return Task.CompletedTask;
            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            object? earlier = Interlocked.CompareExchange(ref _accepted, source, null);
            return earlier is null ? source.Task : earlier is TaskCompletionSource other ? other.Task : Task.CompletedTask;
        }
    }

    public void Accept()
    {
        if (Interlocked.Exchange(ref _accepted, IsAccepted) is TaskCompletionSource waiting) waiting.TrySetResult();
    }

    /// <summary>Has the call cancelled when its caller cancels. Called before the queue knows the call.</summary>
    public void WatchCancellation(RequestClient client)
    {
        if (!CancellationToken.CanBeCanceled) return;
        _client = client;
        _registration = CancellationToken.UnsafeRegister(
            static state =>
            {
                var call = (OutboundCall)state!;
                call._client!.Cancel(call);
            },
            this);
    }

    /// <summary>The call as a trace; null if nobody listens.</summary>
    public Activity? Activity { get; set; }

    /// <summary>
    /// Counts the call as queued. To be called before the queue can go on with it: then <see cref="CountDequeued"/> follows.
    /// </summary>
    public void CountQueued(TransportInstruments instruments, string protocol)
    {
        if (instruments.RequestQueued(protocol)) Volatile.Write(ref _isCounted, 1);
    }

    /// <summary>Counts it no more, if it was counted.</summary>
    public void CountDequeued(TransportInstruments instruments, string protocol)
    {
        if (Interlocked.Exchange(ref _isCounted, 0) != 0) instruments.RequestDequeued(protocol);
    }

    /// <summary>Keeps the payload for a flight; to be released.</summary>
    public void HoldPayload() => Interlocked.Increment(ref _users);

    public void ReleasePayload()
    {
        if (Interlocked.Decrement(ref _users) == 0) payload?.Dispose();
    }

    /// <summary>Reads the response and keeps it; false if there was none.</summary>
    public abstract ValueTask<bool> ReceiveAsync(PipeReader input, CancellationToken cancellationToken);

    /// <summary>Gives the response that was read to the caller. Called once, or <see cref="End"/> is.</summary>
    public void Complete()
    {
        Close();
        GiveResponse();
    }

    /// <summary>Tells the caller that there will be no response. Called once.</summary>
    public void End(RequestException error)
    {
        Close();
        GiveFailure(error);
    }

    protected abstract void GiveResponse();

    protected abstract void GiveFailure(RequestException error);

    private void Close()
    {
        _registration.Unregister(); // does not wait for a callback that is running: it finds the request over
        Accept();
        ReleasePayload();
    }
}

/// <summary>A request whose response is a <typeparamref name="TResponse"/>.</summary>
internal sealed class OutboundCall<TResponse>(
    PeerId peer, MessageBuffer? payload, IMessageCodec<TResponse> codec, int maxResponseSize, TimeSpan timeout, RequestOptions options,
    CancellationToken cancellationToken)
    : OutboundCall(peer, payload, timeout, options, cancellationToken)
{
    private readonly TaskCompletionSource<TResponse> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TResponse? _response; // by the flight; flights of one call follow one another

    public Task<TResponse> Result => _result.Task;

    public override async ValueTask<bool> ReceiveAsync(PipeReader input, CancellationToken cancellationToken)
    {
        (bool any, TResponse response) = await MessageIo.ReceiveAsync(
            input, codec, maxResponseSize, cancellationToken).ConfigureAwait(false);
        _response = response;
        return any;
    }

    protected override void GiveResponse() => _result.SetResult(_response!);

    protected override void GiveFailure(RequestException error)
    {
        if (error.Failure == RequestFailure.Cancelled)
        {
            _result.SetCanceled(CancellationToken);
            return;
        }

        _result.SetException(error);
        _ = _result.Task.Exception; // observed: the caller may have left it to the events
    }
}
