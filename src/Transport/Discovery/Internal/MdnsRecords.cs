using System.Net;
using System.Text;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>Groups of this node's records that are answered and rate-limited together.</summary>
internal enum MdnsReply
{
    /// <summary>PTR service → instance, with everything else as additionals: the packet that libp2p nodes read.</summary>
    Service,

    /// <summary>PTR <c>_services._dns-sd._udp.local</c> → service.</summary>
    Enumeration,

    /// <summary>SRV and TXT of the instance.</summary>
    Instance,

    /// <summary>A and AAAA of the host name.</summary>
    Host,
}

/// <summary>
/// This node's records on one link and the packets that carry them, made once. The layout is what rust, go and js libp2p all read:
/// no question, one PTR as the answer, one TXT with all strings, SRV and A/AAAA as additionals, one peer per packet. Immutable.
/// </summary>
internal sealed class MdnsRecords
{
    /// <summary>Largest datagram sent, in bytes: an Ethernet MTU less IPv6 and UDP headers and some tunnelling.</summary>
    public const int MaxDatagram = 1400;

    /// <summary>Number of <see cref="MdnsReply"/> values.</summary>
    public const int ReplyCount = 4;

    private const int MaxTextLength = 255; // length is one byte (RFC 6763, 6.1)

    private readonly MdnsServiceNames _names;
    private readonly DnsRecord _service;
    private readonly DnsRecord _enumeration;
    private readonly DnsRecord _srv;
    private readonly DnsRecord _txt;
    private readonly List<DnsRecord> _host = [];
    private readonly byte[][] _packets;

    private MdnsRecords(MdnsServiceNames names, PeerId self, List<IPEndPoint> endpoints, uint ttl)
    {
        _names = names;
        Endpoints = endpoints;
        _service = DnsRecord.Ptr(names.Service, names.Instance, ttl);
        _enumeration = DnsRecord.Ptr(MdnsServiceNames.Enumeration, names.Service, ttl);
        _srv = DnsRecord.Srv(names.Instance, names.Host, (ushort)endpoints[0].Port, ttl, cacheFlush: true);
        _txt = DnsRecord.Txt(names.Instance, Strings(endpoints, self), ttl, cacheFlush: true);
        foreach (IPAddress address in endpoints.Select(e => e.Address).Distinct())
            _host.Add(DnsRecord.Address(names.Host, address.GetAddressBytes(), ttl, cacheFlush: true));
        _packets =
        [
            Packet([_service], [_txt, _srv, .. _host]),
            Packet([_enumeration], []),
            Packet([_srv, _txt], _host),
            Packet(_host, []),
        ];
        Goodbye = Packet([DnsRecord.Ptr(names.Service, names.Instance, ttl: 0)], []);
    }

    /// <summary>The endpoints announced; fewer than asked for where they did not fit <see cref="MaxDatagram"/>.</summary>
    public IReadOnlyList<IPEndPoint> Endpoints { get; }

    /// <summary>
    /// The packet that withdraws the service. The PTR alone: caches drop the instance by it, while js-libp2p, which does not look
    /// at the time to live, would report the peer once more if a TXT record came along.
    /// </summary>
    public byte[] Goodbye { get; }

    /// <summary>The records for these endpoints; null without any: a node that cannot be reached here is not announced here.</summary>
    public static MdnsRecords? Create(MdnsServiceNames names, PeerId self, IReadOnlyList<IPEndPoint> endpoints, uint ttl)
    {
        for (int count = Math.Min(endpoints.Count, AdvertisedAddresses.MaxCount); count > 0; count--)
        {
            var records = new MdnsRecords(names, self, [.. endpoints.Take(count)], ttl);
            if (records._packets[(int)MdnsReply.Service].Length <= MaxDatagram) return records;
        }

        return null;
    }

    /// <summary>The packet of a reply. Not to be changed.</summary>
    public byte[] Packet(MdnsReply reply) => _packets[(int)reply];

    /// <summary>
    /// What this node has to say to a question: null if nothing, or if the asker knows it all already (RFC 6762, 7.1: it listed each
    /// record with at least half its time to live).
    /// </summary>
    public MdnsReply? Answer(DnsQuestion question, List<DnsRecord> known)
    {
        bool any = question.Type == DnsType.Any;
        if (question.Name.Equals(_names.Service))
            return (any || question.Type == DnsType.Ptr) && !IsKnown(_service, known) ? MdnsReply.Service : null;
        if (question.Name.Equals(MdnsServiceNames.Enumeration))
            return (any || question.Type == DnsType.Ptr) && !IsKnown(_enumeration, known) ? MdnsReply.Enumeration : null;
        if (question.Name.Equals(_names.Instance))
        {
            bool news = ((any || question.Type == DnsType.Srv) && !IsKnown(_srv, known))
                || ((any || question.Type == DnsType.Txt) && !IsKnown(_txt, known));
            return news ? MdnsReply.Instance : null;
        }

        if (!question.Name.Equals(_names.Host)) return null;
        return _host.Any(record => (any || record.Type == question.Type) && !IsKnown(record, known)) ? MdnsReply.Host : null;
    }

    /// <summary>Whether known answers that came in a later datagram (RFC 6762, 7.2) make the shared record of a reply needless.</summary>
    public bool IsKnown(MdnsReply reply, List<DnsRecord> known) => reply switch
    {
        MdnsReply.Service => IsKnown(_service, known),
        MdnsReply.Enumeration => IsKnown(_enumeration, known),
        _ => false,
    };

    private static bool IsKnown(DnsRecord record, List<DnsRecord> known)
    {
        foreach (DnsRecord other in known)
        {
            if (other.Ttl >= record.Ttl / 2 && record.SaysTheSameAs(other)) return true;
        }

        return false;
    }

    private static byte[] Strings(List<IPEndPoint> endpoints, PeerId self)
    {
        var strings = new List<byte>(endpoints.Count * 100);
        foreach (IPEndPoint endpoint in endpoints)
        {
            byte[] text = Encoding.ASCII.GetBytes($"dnsaddr={Multiaddr.FromTcp(endpoint).WithPeerId(self)}");
            if (text.Length > MaxTextLength) continue; // cannot happen: the longest IPv6 address and peer id need about 130
            strings.Add((byte)text.Length);
            strings.AddRange(text);
        }

        return [.. strings];
    }

    private static byte[] Packet(IReadOnlyList<DnsRecord> answers, IReadOnlyList<DnsRecord> additionals)
    {
        // More room than a datagram may have: Create measures the result.
        var writer = new DnsMessageWriter(isResponse: true, DnsMessageReader.MaxMessageLength);
        foreach (DnsRecord record in answers) writer.TryAddAnswer(record);
        foreach (DnsRecord record in additionals) writer.TryAddAdditional(record);
        return writer.ToArray();
    }
}
