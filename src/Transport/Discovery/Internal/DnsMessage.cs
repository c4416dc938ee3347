using System.Net;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>Record and question types that mDNS service discovery uses (RFC 1035, 2782, 3596).</summary>
internal enum DnsType : ushort
{
    A = 1,
    Ptr = 12,
    Txt = 16,
    Aaaa = 28,
    Srv = 33,

    /// <summary>In questions only: every type.</summary>
    Any = 255,
}

/// <summary>A question of class IN or ANY.</summary>
/// <param name="Name">What is asked about.</param>
/// <param name="Type">The type asked for; may be one that <see cref="DnsType"/> does not list.</param>
/// <param name="UnicastReply">The QU bit (RFC 6762, 5.4).</param>
internal readonly record struct DnsQuestion(DnsName Name, DnsType Type, bool UnicastReply);

/// <summary>A resource record of class IN. Immutable.</summary>
internal sealed class DnsRecord
{
    private DnsRecord(DnsName name, DnsType type, bool cacheFlush, uint ttl)
    {
        Name = name;
        Type = type;
        CacheFlush = cacheFlush;
        Ttl = ttl;
    }

    /// <summary>The owner.</summary>
    public DnsName Name { get; }

    /// <summary>The type: one of A, PTR, TXT, AAAA, SRV.</summary>
    public DnsType Type { get; }

    /// <summary>The cache-flush bit of unique records (RFC 6762, 10.2).</summary>
    public bool CacheFlush { get; }

    /// <summary>Seconds the record may be kept; 0: it is withdrawn.</summary>
    public uint Ttl { get; }

    /// <summary>PTR and SRV: the name pointed to.</summary>
    public DnsName? Target { get; private init; }

    /// <summary>SRV: the port. Priority and weight are not kept: they are 0 here.</summary>
    public ushort Port { get; private init; }

    /// <summary>TXT: the length-prefixed strings; A and AAAA: the address. May be a slice of the datagram it was read from.</summary>
    public ReadOnlyMemory<byte> Data { get; private init; }

    public static DnsRecord Ptr(DnsName name, DnsName target, uint ttl, bool cacheFlush = false) =>
        new(name, DnsType.Ptr, cacheFlush, ttl) { Target = target };

    public static DnsRecord Srv(DnsName name, DnsName target, ushort port, uint ttl, bool cacheFlush) =>
        new(name, DnsType.Srv, cacheFlush, ttl) { Target = target, Port = port };

    public static DnsRecord Txt(DnsName name, ReadOnlyMemory<byte> strings, uint ttl, bool cacheFlush) =>
        new(name, DnsType.Txt, cacheFlush, ttl) { Data = strings };

    /// <summary>An A or AAAA record, by the length of the address.</summary>
    public static DnsRecord Address(DnsName name, ReadOnlyMemory<byte> address, uint ttl, bool cacheFlush) =>
        new(name, address.Length == 4 ? DnsType.A : DnsType.Aaaa, cacheFlush, ttl) { Data = address };

    /// <summary>A or AAAA: the address.</summary>
    public IPAddress ToIPAddress() => new(Data.Span);

    /// <summary>Whether both say the same of the same name, whatever their time to live.</summary>
    public bool SaysTheSameAs(DnsRecord other) =>
        Type == other.Type && Port == other.Port && Name.Equals(other.Name) && Equals(Target, other.Target)
        && Data.Span.SequenceEqual(other.Data.Span);
}

/// <summary>What of a DNS message matters to service discovery. Made by <see cref="DnsMessageReader"/>.</summary>
internal sealed class DnsMessage
{
    /// <summary>The QR bit.</summary>
    public required bool IsResponse { get; init; }

    /// <summary>The TC bit: in a query, more known answers follow in further datagrams (RFC 6762, 7.2).</summary>
    public required bool IsTruncated { get; init; }

    /// <summary>The questions of class IN or ANY.</summary>
    public List<DnsQuestion> Questions { get; } = [];

    /// <summary>The answer section: in a query, the known answers.</summary>
    public List<DnsRecord> Answers { get; } = [];

    /// <summary>The additional section. The authority section is not kept: it serves probing only.</summary>
    public List<DnsRecord> Additionals { get; } = [];
}
