using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>What becomes of an attempt to reach an address.</summary>
internal enum Behaviour
{
    Good,

    /// <summary>Nothing listens: an answer at once.</summary>
    Refuses,

    /// <summary>A black hole: no answer at all.</summary>
    Swallows,

    /// <summary>Connects, then resets while the connection is secured.</summary>
    Resets,

    /// <summary>Somebody else answers there.</summary>
    WrongPeer,

    /// <summary>Connects; securing takes seconds, or longer than allowed.</summary>
    Slow,
}

/// <summary>One address of a node; how it behaves changes while the world runs.</summary>
internal sealed class SimulatedAddress(SimulatedNode owner, DialCandidate candidate)
{
    public SimulatedNode Owner { get; } = owner;

    public DialCandidate Candidate { get; } = candidate;

    public Multiaddr Address => Candidate.Address;

    public Behaviour Behaviour { get; set; }

    public override string ToString() => $"{Address} of {Owner}";
}
