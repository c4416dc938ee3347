namespace FastShare.Transport.Protocols;

/// <summary>Protocol ids on the wire.</summary>
public static class ProtocolIds
{
    /// <summary>multistream-select 1.0.</summary>
    public const string Multistream = "/multistream/1.0.0";

    /// <summary>Noise XX with ChaCha20-Poly1305 (libp2p noise specification).</summary>
    public const string Noise = "/noise";

    /// <summary>The same handshake with AEGIS-128L, between FastShare nodes.</summary>
    public const string NoiseAegis = "/fastshare/noise-aegis128l/1";

    /// <summary>The same handshake with AES-256-GCM, between FastShare nodes where one of them asks for it.</summary>
    public const string NoiseAesGcm = "/fastshare/noise-aesgcm/1";

    /// <summary>Plaintext 2.0 (libp2p plaintext specification).</summary>
    public const string Plaintext = "/plaintext/2.0.0";

    /// <summary>yamux.</summary>
    public const string Yamux = "/yamux/1.0.0";

    /// <summary>identify.</summary>
    public const string Identify = "/ipfs/id/1.0.0";

    /// <summary>identify push.</summary>
    public const string IdentifyPush = "/ipfs/id/push/1.0.0";

    /// <summary>ping.</summary>
    public const string Ping = "/ipfs/ping/1.0.0";

    /// <summary>One side asks the other to agree that a connection is surplus.</summary>
    public const string Retire = "/fastshare/retire/1";

    /// <summary>perf.</summary>
    public const string Perf = "/perf/1.0.0";
}
