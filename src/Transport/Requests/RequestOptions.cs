using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>Settings of one request.</summary>
public sealed class RequestOptions
{
    /// <summary>The settings of a request for which none are given.</summary>
    internal static RequestOptions Default { get; } = new();

    /// <summary>The time from the call to the response. Null: <see cref="RequestProtocolOptions.Timeout"/>.</summary>
    public TimeSpan? Timeout
    {
        get;
        init
        {
            if (value is { } given)
            {
                ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(given, TimeSpan.Zero);
                ArgumentOutOfRangeException.ThrowIfGreaterThan(given, TimeSpan.FromDays(1));
            }

            field = value;
        }
    }

    /// <summary>Addresses to try besides those known; they are remembered, and join a dial under way.</summary>
    public IReadOnlyList<Multiaddr> Addresses
    {
        get;
        init => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>Whether and when a failed request is tried again. Default: never.</summary>
    public RetryPolicy Retry
    {
        get;
        init => field = value ?? throw new ArgumentNullException(nameof(value));
    } = RetryPolicy.None;

    /// <summary>
    /// Whether the request may be carried out twice without harm: then <see cref="Retry"/> also covers failures that leave open
    /// whether the peer has carried it out. Default: no.
    /// </summary>
    public bool IsIdempotent { get; init; }

    /// <summary>
    /// When the request may start a dial. It matters only while the peer is not connected, and an unmet condition fails nothing: the
    /// request then goes on the dial under way. Default: <see cref="DialCondition.DisconnectedAndNotDialing"/>.
    /// </summary>
    public DialCondition Condition { get; init; } = DialCondition.DisconnectedAndNotDialing;
}
