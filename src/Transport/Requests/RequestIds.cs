using System.Globalization;

namespace FastShare.Transport.Requests;

/// <summary>The number of a request that this node sent; from 1 upwards, of one <see cref="RequestResponse{TRequest, TResponse}"/>.</summary>
public readonly record struct OutboundRequestId(long Value) : IComparable<OutboundRequestId>
{
    /// <inheritdoc/>
    public int CompareTo(OutboundRequestId other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The number of a request that came in; from 1 upwards, of one <see cref="RequestResponse{TRequest, TResponse}"/>.</summary>
public readonly record struct InboundRequestId(long Value) : IComparable<InboundRequestId>
{
    /// <inheritdoc/>
    public int CompareTo(InboundRequestId other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
