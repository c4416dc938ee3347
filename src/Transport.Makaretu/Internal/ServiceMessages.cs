using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using FastShare.Transport.Identity;
using Makaretu.Dns;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>
/// Writes and reads the messages of libp2p's mDNS with the package's object model. What it writes has the layout that rust, go and js
/// libp2p all read: one PTR as the answer; one TXT with all <c>dnsaddr=</c> strings, SRV and addresses as additionals. What it reads
/// comes from anyone on the network: each string counts alone, and what cannot be used is skipped. Immutable.
/// </summary>
internal sealed class ServiceMessages
{
    /// <summary>How long others keep an announcement (RFC 6762, 10: records with addresses).</summary>
    public static readonly TimeSpan TimeToLive = TimeSpan.FromSeconds(120);

    /// <summary>Addresses in one announcement: an Ed25519 TCP address takes about 97 bytes, and all must fit one MTU.</summary>
    public const int MaxAnnounced = 12;

    /// <summary>Largest datagram sent, in bytes: an Ethernet MTU less IPv6 and UDP headers and some tunnelling.</summary>
    public const int MaxDatagram = 1400;

    /// <summary>Known answers in one query: up to 78 bytes each, and all must fit one MTU.</summary>
    public const int MaxKnownAnswers = 16;

    private const int LabelLength = 40;     // libp2p mDNS specification: 32 to 63 characters, random
    private const int MaxStrings = 64;      // in one response: several times what one peer announces
    private const int MaxTextLength = 255;  // RFC 1035, 3.3.14
    private const string Prefix = "dnsaddr=";
    private const DnsClass Unique = (DnsClass)0x8001; // IN with the cache-flush bit
    private static readonly TimeSpan MaxTtl = TimeSpan.FromMinutes(75);

    private readonly DomainName _service;
    private readonly DomainName _instance;
    private readonly DomainName _host;

    public ServiceMessages(string service)
    {
        string label = RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz0123456789", LabelLength);
        _service = new DomainName(service);
        _instance = new DomainName([label, .. _service.Labels]);
        _host = new DomainName(label, "local");
    }

    /// <summary>Asks who is there, listing who is known to be.</summary>
    public Message Query(IEnumerable<(string Instance, TimeSpan Left)> known)
    {
        var query = new Message { Opcode = MessageOperation.Query, QR = false };
        query.Questions.Add(new Question { Name = _service, Type = DnsType.PTR, Class = DnsClass.IN });
        foreach ((string instance, TimeSpan left) in known.Take(MaxKnownAnswers))
            query.Answers.Add(Pointer(new DomainName([instance, .. _service.Labels]), left));
        return query;
    }

    /// <summary>Announces the node, with as many addresses as fit, best first; null where it listens nowhere.</summary>
    public Message? Announcement(PeerId self, IReadOnlyList<IPEndPoint> endpoints)
    {
        for (int count = Math.Min(endpoints.Count, MaxAnnounced); count > 0; count--)
        {
            Message message = Announcement(self, [.. endpoints.Take(count)]);
            if (message.ToByteArray().Length <= MaxDatagram) return message;
        }

        return null;
    }

    /// <summary>Takes the announcement back. The pointer alone: js-libp2p would take a TXT record for an announcement.</summary>
    public Message Goodbye()
    {
        var message = new Message { QR = true, AA = true };
        message.Answers.Add(Pointer(_instance, TimeSpan.Zero));
        return message;
    }

    /// <summary>Whether a query asks for the service, and does not list this node as known (RFC 6762, 7.1).</summary>
    public bool AsksForUs(Message query) =>
        query.Questions.Any(q => q.Type is DnsType.PTR or DnsType.ANY && q.Name is not null && Same(q.Name.Labels, _service.Labels))
        && !query.Answers.OfType<PTRRecord>().Any(ptr =>
            ptr.TTL >= TimeToLive / 2 && ptr.DomainName is not null && Same(ptr.DomainName.Labels, _instance.Labels));

    /// <summary>The sightings of a response, and the instances whose pointer it takes back.</summary>
    /// <param name="response">The response.</param>
    /// <param name="source">Where it came from; the scope of a link-local address says on which interface.</param>
    /// <param name="fromThisHost">Whether that is this host: only then do loopback addresses mean the sender.</param>
    /// <param name="goodbyes">Takes the instances that left.</param>
    public List<Sighting> Read(Message response, IPEndPoint source, bool fromThisHost, List<string> goodbyes)
    {
        var sightings = new Dictionary<string, Draft>();
        int strings = 0;
        foreach (ResourceRecord record in response.Answers.Concat(response.AdditionalRecords))
        {
            if (record is PTRRecord { DomainName: not null } pointer && pointer.TTL <= TimeSpan.Zero
                && InstanceOf(pointer.DomainName) is { } leaving) goodbyes.Add(leaving);
            if (record is not TXTRecord text || InstanceOf(record.Name) is not { } instance) continue;
            if (!sightings.TryGetValue(instance, out Draft? draft)) sightings.Add(instance, draft = new Draft());
            TimeSpan ttl = text.TTL < TimeSpan.Zero ? TimeSpan.Zero : text.TTL;
            draft.TimeToLive = ttl < draft.TimeToLive ? ttl : draft.TimeToLive;
            draft.ReplacesEarlier |= ((ushort)text.Class & 0x8000) != 0;
            foreach (string value in text.Strings)
            {
                if (++strings > MaxStrings) break;
                if (Usable(value, source, fromThisHost) is { } address) draft.Add(address);
            }
        }

        return
        [
            .. sightings.Where(s => s.Value.Peer is not null && !goodbyes.Contains(s.Key)).Select(s => new Sighting(
                s.Key, s.Value.Peer!, s.Value.Addresses, s.Value.TimeToLive, s.Value.ReplacesEarlier)),
        ];
    }

    private Message Announcement(PeerId self, IPEndPoint[] told)
    {
        var message = new Message { QR = true, AA = true };
        message.Answers.Add(Pointer(_instance, TimeToLive));
        var text = new TXTRecord { Name = _instance, Class = Unique, TTL = TimeToLive };
        text.Strings.AddRange(told.Select(endpoint => Prefix + Multiaddr.FromTcp(endpoint).WithPeerId(self)));
        message.AdditionalRecords.Add(text);
        message.AdditionalRecords.Add(
            new SRVRecord { Name = _instance, Class = Unique, TTL = TimeToLive, Target = _host, Port = (ushort)told[0].Port });
        foreach (IPAddress address in told.Select(endpoint => endpoint.Address).Distinct())
        {
            AddressRecord record = AddressRecord.Create(_host, address);
            record.Class = Unique;
            record.TTL = TimeToLive;
            message.AdditionalRecords.Add(record);
        }

        return message;
    }

    private static bool Same(IReadOnlyList<string> left, IReadOnlyList<string> right) =>
        left.Count == right.Count && left.Zip(right).All(pair => string.Equals(pair.First, pair.Second, StringComparison.OrdinalIgnoreCase));

    // Names are not looked up and relays not taken: an unauthenticated packet must not send this host anywhere but to a neighbour.
    private static Multiaddr? Usable(string text, IPEndPoint source, bool fromThisHost)
    {
        if (text is null || text.Length > MaxTextLength || !text.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        if (!Multiaddr.TryParse(text[Prefix.Length..], out Multiaddr? address) || !address.EndsInPeerId) return null;
        if (address.PeerId is not { } peer || !address.TryGetTcpEndPoint(out IPEndPoint? endpoint) || endpoint.Port == 0) return null;
        IPAddress ip = endpoint.Address;
        if (IPAddress.IsLoopback(ip)) return fromThisHost ? address : null;
        if (ip.IsIPv6Multicast || ip.IsIPv4MappedToIPv6 || ip.Equals(IPAddress.IPv6Any)) return null;
        if (ip.AddressFamily == AddressFamily.InterNetwork && ip.GetAddressBytes()[0] is 0 or >= 224) return null;
        if (!ip.IsIPv6LinkLocal) return address;
        if (!source.Address.IsIPv6LinkLocal) return null; // on which interface is not known
        return Multiaddr.FromTcp(new IPEndPoint(new IPAddress(ip.GetAddressBytes(), source.Address.ScopeId), endpoint.Port)).WithPeerId(peer);
    }

    private PTRRecord Pointer(DomainName instance, TimeSpan ttl) => new() { Name = _service, DomainName = instance, TTL = ttl };

    // Of ASCII only: the package cannot write other names, and no libp2p node has one.
    private string? InstanceOf(DomainName? name) =>
        name is { Labels.Count: > 1 } && Ascii.IsValid(name.Labels[0]) && Same([.. name.Labels.Skip(1)], _service.Labels)
            ? name.Labels[0].ToLowerInvariant()
            : null;

    private sealed class Draft
    {
        public PeerId? Peer { get; private set; }

        public List<Multiaddr> Addresses { get; } = [];

        public TimeSpan TimeToLive { get; set; } = MaxTtl;

        public bool ReplacesEarlier { get; set; }

        // One peer per instance: the first that it names.
        public void Add(Multiaddr address)
        {
            Peer ??= address.PeerId;
            if (address.PeerId == Peer && !Addresses.Contains(address)) Addresses.Add(address);
        }
    }
}
