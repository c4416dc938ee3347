namespace FastShare.Transport;

/// <summary>Why a connection ended.</summary>
public enum DisconnectCause
{
    /// <summary>This side closed it, or was disposed.</summary>
    ClosedHere,

    /// <summary>The remote side closed it in good order.</summary>
    ClosedByPeer,

    /// <summary>Nothing used it for <see cref="SwarmOptions.IdleTimeout"/>.</summary>
    Idle,

    /// <summary>Another connection to the peer took its place: both sides had dialed at the same time.</summary>
    Surplus,

    /// <summary>It was lost or broken; the error says how.</summary>
    Lost,
}
