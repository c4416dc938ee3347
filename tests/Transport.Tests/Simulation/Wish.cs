using FastShare.Transport.Dialing;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>How a caller wants to be connected.</summary>
internal sealed record Wish
{
    public DialCondition Condition { get; init; }

    public IReadOnlyList<SimulatedAddress> Addresses { get; init; } = [];

    public bool UsesKnown { get; init; } = true;

    /// <summary>Whether the caller waits for the end of the peer's pause.</summary>
    public bool IsPatient { get; init; }

    /// <summary>When it leaves; null: never.</summary>
    public TimeSpan? Patience { get; init; }
}
