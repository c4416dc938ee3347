namespace FastShare.Transport.Requests;

/// <summary>A protocol of requests and responses: its name on the wire, its messages, its settings. Immutable.</summary>
/// <typeparam name="TRequest">What is asked.</typeparam>
/// <typeparam name="TResponse">What is answered.</typeparam>
public sealed class RequestProtocol<TRequest, TResponse>
{
    /// <summary>Describes a protocol.</summary>
    /// <param name="id">Its name, beginning with '/', such as <c>/example/echo/1</c>.</param>
    /// <param name="requestCodec">How requests are written.</param>
    /// <param name="responseCodec">How responses are written.</param>
    /// <param name="options">Its settings; null: the defaults.</param>
    public RequestProtocol(
        string id, IMessageCodec<TRequest> requestCodec, IMessageCodec<TResponse> responseCodec, RequestProtocolOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        if (id[0] != '/') throw new ArgumentException("a protocol id starts with '/'", nameof(id));
        ArgumentNullException.ThrowIfNull(requestCodec);
        ArgumentNullException.ThrowIfNull(responseCodec);
        Id = id;
        RequestCodec = requestCodec;
        ResponseCodec = responseCodec;
        Options = options ?? new RequestProtocolOptions();
    }

    /// <summary>The protocol's name on the wire.</summary>
    public string Id { get; }

    /// <summary>How requests are written.</summary>
    public IMessageCodec<TRequest> RequestCodec { get; }

    /// <summary>How responses are written.</summary>
    public IMessageCodec<TResponse> ResponseCodec { get; }

    /// <summary>The protocol's settings.</summary>
    public RequestProtocolOptions Options { get; }
}
