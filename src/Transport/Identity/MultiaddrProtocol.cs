namespace FastShare.Transport.Identity;

/// <summary>How the value of a multiaddr component stands on the wire and in text.</summary>
internal enum MultiaddrValue
{
    None,
    Ip4,
    Ip6,
    Port,
    Text,
    PeerId,

    /// <summary>A value this library can carry but not show or make: printed as hexadecimal.</summary>
    Opaque,
}

/// <summary>One row of the multiaddr protocol table (multiformats/multiaddr, protocols.csv).</summary>
/// <param name="Name">Text name.</param>
/// <param name="Code">Code on the wire.</param>
/// <param name="Size">Bytes of the value; −1: a varint length precedes it.</param>
/// <param name="Value">How the value reads.</param>
internal sealed record MultiaddrProtocol(string Name, int Code, int Size, MultiaddrValue Value)
{
    public const int Ip4 = 4, Ip6 = 41, Ip6Zone = 42, Dns = 53, Dns4 = 54, Dns6 = 55, Dnsaddr = 56, Tcp = 6, P2p = 421, Memory = 777;

    private static readonly MultiaddrProtocol[] Table =
    [
        new("ip4", Ip4, 4, MultiaddrValue.Ip4),
        new("ip6", Ip6, 16, MultiaddrValue.Ip6),
        new("ip6zone", Ip6Zone, -1, MultiaddrValue.Text),
        new("dns", Dns, -1, MultiaddrValue.Text),
        new("dns4", Dns4, -1, MultiaddrValue.Text),
        new("dns6", Dns6, -1, MultiaddrValue.Text),
        new("dnsaddr", Dnsaddr, -1, MultiaddrValue.Text),
        new("tcp", Tcp, 2, MultiaddrValue.Port),
        new("udp", 273, 2, MultiaddrValue.Port),
        new("quic", 460, 0, MultiaddrValue.None),
        new("quic-v1", 461, 0, MultiaddrValue.None),
        new("p2p", P2p, -1, MultiaddrValue.PeerId),
        new("p2p-circuit", 290, 0, MultiaddrValue.None),
        new("dccp", 33, 2, MultiaddrValue.Port),
        new("sctp", 132, 2, MultiaddrValue.Port),
        new("ipcidr", 43, 1, MultiaddrValue.Opaque),
        new("p2p-webrtc-star", 275, 0, MultiaddrValue.None),
        new("p2p-webrtc-direct", 276, 0, MultiaddrValue.None),
        new("p2p-stardust", 277, 0, MultiaddrValue.None),
        new("webrtc-direct", 280, 0, MultiaddrValue.None),
        new("webrtc", 281, 0, MultiaddrValue.None),
        new("udt", 301, 0, MultiaddrValue.None),
        new("utp", 302, 0, MultiaddrValue.None),
        new("unix", 400, -1, MultiaddrValue.Opaque),
        new("https", 443, 0, MultiaddrValue.None),
        new("onion", 444, 12, MultiaddrValue.Opaque),
        new("onion3", 445, 37, MultiaddrValue.Opaque),
        new("garlic64", 446, -1, MultiaddrValue.Opaque),
        new("garlic32", 447, -1, MultiaddrValue.Opaque),
        new("tls", 448, 0, MultiaddrValue.None),
        new("sni", 449, -1, MultiaddrValue.Text),
        new("noise", 454, 0, MultiaddrValue.None),
        new("webtransport", 465, 0, MultiaddrValue.None),
        new("certhash", 466, -1, MultiaddrValue.Opaque),
        new("ws", 477, 0, MultiaddrValue.None),
        new("wss", 478, 0, MultiaddrValue.None),
        new("p2p-websocket-star", 479, 0, MultiaddrValue.None),
        new("http", 480, 0, MultiaddrValue.None),
        new("http-path", 481, -1, MultiaddrValue.Opaque),
        new("memory", Memory, -1, MultiaddrValue.Text),
    ];

    private static readonly Dictionary<int, MultiaddrProtocol> ByCode = Table.ToDictionary(p => p.Code);
    private static readonly Dictionary<string, MultiaddrProtocol> ByName =
        Table.Append(Table.Single(p => p.Code == P2p) with { Name = "ipfs" }).ToDictionary(p => p.Name, StringComparer.Ordinal);

    public static MultiaddrProtocol? Find(int code) => ByCode.GetValueOrDefault(code);

    public static MultiaddrProtocol? Find(string name) => ByName.GetValueOrDefault(name);
}
