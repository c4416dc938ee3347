using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>How near an address is; nearer ones are dialed first.</summary>
internal enum AddressScope
{
    /// <summary>This machine: loopback, one of its own addresses, or this process.</summary>
    Host,

    /// <summary>A network that one of this machine's interfaces is in.</summary>
    Subnet,

    /// <summary>Another address that is not routed in the internet.</summary>
    Private,

    /// <summary>Everything else, DNS names included.</summary>
    Public,
}

/// <summary>An address to dial.</summary>
internal readonly record struct DialCandidate(Multiaddr Address, AddressScope Scope);
