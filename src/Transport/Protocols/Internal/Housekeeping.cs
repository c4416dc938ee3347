namespace FastShare.Transport.Protocols.Internal;

/// <summary>Protocols that serve the connection itself: their streams do not keep it.</summary>
internal static class Housekeeping
{
    public static bool Includes(string protocol) =>
        protocol is ProtocolIds.Ping or ProtocolIds.Identify or ProtocolIds.IdentifyPush or ProtocolIds.Retire;
}
