using System.Text;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

/// <summary>Datagrams as other implementations send them.</summary>
internal static class MdnsPackets
{
    public static readonly DnsName Service = DnsName.Parse("_p2p._udp.local");

    public static byte[] Query(DnsName name, DnsType type, params IEnumerable<DnsRecord> known)
    {
        var writer = new DnsMessageWriter(isResponse: false, 9000);
        writer.TryAddQuestion(name, type);
        foreach (DnsRecord record in known) Assert.True(writer.TryAddAnswer(record));
        return writer.ToArray();
    }

    /// <summary>A query that has room for more known answers in a further datagram.</summary>
    public static byte[] TruncatedQuery(params IEnumerable<DnsRecord> known)
    {
        byte[] query = Query(Service, DnsType.Ptr, known);
        query[2] |= 0x02;
        return query;
    }

    /// <summary>The further datagram: known answers, no question.</summary>
    public static byte[] MoreKnownAnswers(params IEnumerable<DnsRecord> known)
    {
        var writer = new DnsMessageWriter(isResponse: false, 9000);
        foreach (DnsRecord record in known) Assert.True(writer.TryAddAnswer(record));
        return writer.ToArray();
    }

    public static DnsRecord Pointer(string instance, uint ttl = 120) => DnsRecord.Ptr(Service, Service.Prepend(instance), ttl);

    public static DnsRecord Text(string instance, uint ttl, bool flush, params IEnumerable<string> strings)
    {
        var data = new List<byte>();
        foreach (string text in strings)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            data.Add((byte)bytes.Length);
            data.AddRange(bytes);
        }

        return DnsRecord.Txt(Service.Prepend(instance), data.ToArray(), ttl, flush);
    }

    public static byte[] Response(IEnumerable<DnsRecord> answers, params IEnumerable<DnsRecord> additionals)
    {
        var writer = new DnsMessageWriter(isResponse: true, 9000);
        foreach (DnsRecord record in answers) Assert.True(writer.TryAddAnswer(record));
        foreach (DnsRecord record in additionals) Assert.True(writer.TryAddAdditional(record));
        return writer.ToArray();
    }

    /// <summary>A response in the layout of FastShare and go-libp2p.</summary>
    public static byte[] Announcement(PeerId peer, string instance, uint ttl, params IEnumerable<string> addresses) =>
        Response([Pointer(instance, ttl)], Text(instance, ttl, true, addresses.Select(a => $"dnsaddr={a}/p2p/{peer}")));
}
