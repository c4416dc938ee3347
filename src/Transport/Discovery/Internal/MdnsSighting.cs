using System.Net;
using System.Text;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>What one instance of the service says of its peer in one response.</summary>
/// <param name="Instance">Name of the instance: only a handle, a peer may use a new one in each response.</param>
/// <param name="Peer">The peer it claims to be.</param>
/// <param name="Addresses">Announced addresses usable from here, each ending in the peer's id, those with plain TCP first.</param>
/// <param name="FromSource">Further ones: the packet's source, at which the sender surely is, with each announced port.</param>
/// <param name="TimeToLive">How long they hold; zero: withdrawn.</param>
/// <param name="ReplacesEarlier">Whether addresses told earlier and missing now are void (cache-flush).</param>
internal sealed record MdnsSighting(
    DnsName Instance, PeerId Peer, IReadOnlyList<Multiaddr> Addresses, IReadOnlyList<Multiaddr> FromSource,
    TimeSpan TimeToLive, bool ReplacesEarlier);

/// <summary>
/// Reads sightings and goodbyes out of a response, leniently: whatever the section, order, case or number of records. Pure.
/// </summary>
internal static class MdnsSightings
{
    /// <summary>Longest time to live believed, in seconds: 75 minutes, RFC 6762's default for records that do not name hosts.</summary>
    public const uint MaxTtl = 4500;

    /// <summary>Strings looked at in one response: several times what one peer announces. Parsing one takes some 20 µs.</summary>
    public const int MaxStrings = 64;

    private static ReadOnlySpan<byte> Prefix => "dnsaddr="u8;

    /// <summary>The sightings of a response.</summary>
    /// <param name="message">The response.</param>
    /// <param name="service">The service looked for.</param>
    /// <param name="source">Where it came from.</param>
    /// <param name="link">On which link.</param>
    /// <param name="fromThisHost">Whether the source is an address of this host: only then do loopback addresses mean the sender.</param>
    /// <param name="maxAddresses">Addresses of one peer.</param>
    /// <param name="goodbyes">Takes the instances whose pointer was withdrawn.</param>
    public static List<MdnsSighting> Read(
        DnsMessage message, DnsName service, IPEndPoint source, MdnsLink link, bool fromThisHost, int maxAddresses, List<DnsName> goodbyes)
    {
        var drafts = new Dictionary<DnsName, Draft>();
        int strings = 0;
        foreach (DnsRecord record in message.Answers.Concat(message.Additionals))
        {
            bool isGoodbye = record.Type == DnsType.Ptr && record.Ttl == 0 && record.Name.Equals(service);
            if (isGoodbye && record.Target!.IsChildOf(service)) goodbyes.Add(record.Target);
            if (record.Type != DnsType.Txt || !record.Name.IsChildOf(service)) continue;
            if (!drafts.TryGetValue(record.Name, out Draft? draft)) drafts.Add(record.Name, draft = new Draft(record.Ttl));
            draft.Ttl = Math.Min(draft.Ttl, Math.Min(record.Ttl, MaxTtl));
            draft.ReplacesEarlier |= record.CacheFlush;
            for (ReadOnlySpan<byte> rest = record.Data.Span; !rest.IsEmpty; rest = rest[(rest[0] + 1)..])
            {
                if (++strings > MaxStrings) break;
                draft.Add(rest.Slice(1, rest[0]), link, fromThisHost);
            }
        }

        var sightings = new List<MdnsSighting>(drafts.Count);
        foreach ((DnsName instance, Draft draft) in drafts)
        {
            if (draft.Peer is null || goodbyes.Contains(instance)) continue;
            List<Multiaddr> announced = draft.Announced(maxAddresses);
            List<Multiaddr> fromSource = draft.FromSource(source, link, maxAddresses - announced.Count);
            var ttl = TimeSpan.FromSeconds(draft.Ttl);
            sightings.Add(new MdnsSighting(instance, draft.Peer, announced, fromSource, ttl, draft.ReplacesEarlier));
        }

        return sightings;
    }

    private sealed class Draft(uint ttl)
    {
        private readonly List<Multiaddr> _tcp = [];
        private readonly List<Multiaddr> _others = [];
        private readonly List<int> _ports = [];

        public PeerId? Peer { get; private set; }

        public uint Ttl { get; set; } = ttl;

        public bool ReplacesEarlier { get; set; }

        // One string of a TXT record. What is not a usable address of the instance's peer is skipped.
        public void Add(ReadOnlySpan<byte> text, MdnsLink link, bool fromThisHost)
        {
            if (!text.StartsWith(Prefix) || !Ascii.IsValid(text)) return;
            string address = WithoutZone(Encoding.ASCII.GetString(text[Prefix.Length..]));
            // Names are not taken: looking one up would let an unauthenticated packet send this host's resolver anywhere.
            if (!address.StartsWith("/ip4/", StringComparison.Ordinal) && !address.StartsWith("/ip6/", StringComparison.Ordinal)) return;
            if (!Multiaddr.TryParse(address, out Multiaddr? parsed) || !parsed.EndsInPeerId || parsed.PeerId is not { } peer) return;
            Peer ??= peer;
            if (Peer != peer) return;

            IPAddress ip = FirstAddress(parsed);
            if (IPAddress.IsLoopback(ip) ? !fromThisHost : !IsUnicast(ip)) return;
            if (!parsed.TryGetTcpEndPoint(out IPEndPoint? endpoint))
            {
                if (!ip.IsIPv6LinkLocal) AddOnce(_others, parsed);
                return;
            }

            if (endpoint.Port == 0) return;
            if (!_ports.Contains(endpoint.Port)) _ports.Add(endpoint.Port);
            if (ip.IsIPv6LinkLocal) parsed = Dialable(ip, endpoint.Port, link);
            AddOnce(_tcp, parsed);
        }

        public List<Multiaddr> Announced(int max) => [.. _tcp.Concat(_others).Take(max)];

        public List<Multiaddr> FromSource(IPEndPoint source, MdnsLink link, int max)
        {
            var addresses = new List<Multiaddr>();
            foreach (int port in _ports)
            {
                if (addresses.Count >= max) break;
                Multiaddr address = Dialable(MdnsLink.WithoutScope(source.Address), port, link);
                if (!_tcp.Contains(address)) addresses.Add(address);
            }

            return addresses;
        }

        private Multiaddr Dialable(IPAddress ip, int port, MdnsLink link)
        {
            if (ip.IsIPv6LinkLocal) ip = new IPAddress(ip.GetAddressBytes(), link.Index);
            return Multiaddr.FromTcp(new IPEndPoint(ip, port)).WithPeerId(Peer!);
        }

        private static void AddOnce(List<Multiaddr> list, Multiaddr address)
        {
            if (!list.Contains(address)) list.Add(address);
        }

        // A zone is the sender's name of its own interface and means nothing here; the arrival interface takes its place.
        private static string WithoutZone(string address)
        {
            const string Zone = "/ip6zone/";
            if (!address.StartsWith(Zone, StringComparison.Ordinal)) return address;
            int end = address.IndexOf('/', Zone.Length);
            return end < 0 ? address : address[end..];
        }

        // The address starts with /ip4/ or /ip6/, whose codes take one byte on the wire.
        private static IPAddress FirstAddress(Multiaddr address) =>
            new(address.Bytes.Slice(1, address.Bytes[0] == MultiaddrProtocol.Ip4 ? 4 : 16));

        private static bool IsUnicast(IPAddress ip)
        {
            if (ip.IsIPv6Multicast || ip.IsIPv4MappedToIPv6 || ip.Equals(IPAddress.IPv6Any)) return false;
            return ip.GetAddressBytes() is not { Length: 4 } bytes || bytes[0] is > 0 and < 224;
        }
    }
}
