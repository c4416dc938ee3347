using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>A datagram to multicast on a link.</summary>
/// <param name="Link">Index of the link.</param>
/// <param name="Payload">The bytes; not to be changed.</param>
/// <param name="OverIPv4">Whether to send it to 224.0.0.251.</param>
/// <param name="OverIPv6">Whether to send it to ff02::fb.</param>
internal readonly record struct MdnsPacket(int Link, byte[] Payload, bool OverIPv4, bool OverIPv6);

/// <summary>What an <see cref="MdnsCore"/> is told once.</summary>
internal sealed record MdnsCoreSettings
{
    public required PeerId Self { get; init; }

    public required IReadOnlyList<Multiaddr> ListenAddresses { get; init; }

    public required MdnsServiceNames Names { get; init; }

    public required Random Random { get; init; }

    public uint Ttl { get; init; } = 120;

    public int MaxPeers { get; init; } = 1024;

    public int MaxAddressesPerPeer { get; init; } = 16;

    public int MaxPacketsPerSecond { get; init; } = 1000;

    public int MaxPacketsPerSecondPerSource { get; init; } = 100;
}

/// <summary>
/// mDNS discovery without I/O and clock (libp2p mDNS specification, RFC 6762): datagrams, links and the time go in; datagrams and
/// events come out in <see cref="Packets"/> and <see cref="Events"/>, which the owner empties. The same inputs and random numbers give the
/// same outputs. Not thread-safe; never throws for what a packet holds.
/// </summary>
internal sealed class MdnsCore(MdnsCoreSettings settings)
{
    /// <summary>The source named in events.</summary>
    public const string Source = "mdns";

    /// <summary>The port of mDNS (RFC 6762, 3).</summary>
    public const int Port = 5353;

    /// <summary>Datagrams of known answers after the first: with them a query lists about 200 peers.</summary>
    public const int MaxKnownAnswerPackets = 8;

    private readonly Dictionary<int, LinkState> _links = [];
    private readonly MdnsPeerTable _peers = new(Source, settings.MaxPeers, settings.MaxAddressesPerPeer, settings.Random);
    private readonly PacketRateLimit _limit = new(settings.MaxPacketsPerSecond, settings.MaxPacketsPerSecondPerSource);
    private readonly HashSet<int> _askOn = [];
    private readonly RepeatedResponses _repeated = new();

    private sealed class LinkState(MdnsLink link, MdnsResponder responder, MdnsQuerySchedule queries)
    {
        public MdnsLink Link { get; set; } = link;
        public MdnsResponder Responder { get; } = responder;
        public MdnsQuerySchedule Queries { get; set; } = queries;
    }

    /// <summary>Datagrams to send, in order.</summary>
    public List<MdnsPacket> Packets { get; } = [];

    /// <summary>Observations to report, in order.</summary>
    public List<DiscoveryEvent> Events { get; } = [];

    /// <summary>Datagrams dropped so far: too many, from beyond the link, or malformed.</summary>
    public long Dropped { get; private set; }

    /// <summary>Peers known.</summary>
    public int PeerCount => _peers.Count;

    /// <summary>
    /// The links in use from now on. New ones, and those with other addresses than before, are announced and asked on; what was seen on
    /// those, or on links that are gone, expires unless it is heard again soon.
    /// </summary>
    public void SetLinks(TimeSpan now, IReadOnlyCollection<MdnsLink> links)
    {
        _repeated.Clear(); // what an address means may depend on the links
        foreach (int gone in _links.Keys.Where(index => links.All(l => l.Index != index)).ToArray())
        {
            _links.Remove(gone);
            Doubt(now, gone);
        }

        foreach (MdnsLink link in links)
        {
            if (!_links.TryGetValue(link.Index, out LinkState? state))
            {
                state = new LinkState(link, new MdnsResponder(settings.Random), new MdnsQuerySchedule(settings.Random, now));
                _links.Add(link.Index, state);
            }
            else if (state.Link.Equals(link))
            {
                continue;
            }
            else
            {
                Doubt(now, link.Index);
                state.Queries = new MdnsQuerySchedule(settings.Random, now);
            }

            state.Link = link;
            Announce(now, state);
        }
    }

    /// <summary>Announces and asks anew on a link whose addresses are the same but which others can only now hear.</summary>
    public void Renew(TimeSpan now, int linkIndex)
    {
        if (!_links.TryGetValue(linkIndex, out LinkState? state)) return;
        state.Queries = new MdnsQuerySchedule(settings.Random, now);
        Announce(now, state);
    }

    /// <summary>
    /// Announces and asks anew on every link, after a time in which nothing was heard or said; who does not answer soon expires.
    /// </summary>
    public void Reconfirm(TimeSpan now)
    {
        foreach (int link in _links.Keys.ToArray())
        {
            Doubt(now, link);
            Renew(now, link);
        }
    }

    /// <summary>Takes in a datagram that arrived on a link. Its memory is not kept.</summary>
    public void Receive(TimeSpan now, int linkIndex, IPEndPoint source, ReadOnlyMemory<byte> datagram)
    {
        if (!_links.TryGetValue(linkIndex, out LinkState? state)) return;
        var sender = new IPEndPoint(MdnsLink.WithoutScope(source.Address), source.Port);
        bool fromThisHost = IPAddress.IsLoopback(sender.Address) || _links.Values.Any(l => l.Link.IsOwn(sender.Address));
        // VU#550620: whoever is not on the link has nothing to ask and nothing to tell.
        bool isNear = state.Link.IsOnLink(sender.Address) || (fromThisHost && state.Link.IsLoopback);
        if (!isNear || !_limit.TryAccept(now, sender.Address))
        {
            Dropped++;
            return;
        }

        if (_repeated.Find(linkIndex, sender, datagram.Span) is { } sightings)
        {
            Learn(now, linkIndex, sightings);
            return;
        }

        if (!DnsMessageReader.TryRead(datagram, out DnsMessage? message))
        {
            Dropped++;
            return;
        }

        if (!message.IsResponse)
        {
            Answer(now, state, sender, fromThisHost, message);
            return;
        }

        var goodbyes = new List<DnsName>();
        sightings = MdnsSightings.Read(
            message, settings.Names.Service, sender, state.Link, fromThisHost, settings.MaxAddressesPerPeer, goodbyes);
        Learn(now, linkIndex, sightings);
        foreach (DnsName instance in goodbyes) _peers.Left(now, linkIndex, instance);
        if (sightings.Count > 0 && goodbyes.Count == 0) _repeated.Remember(linkIndex, sender, datagram.Span, sightings);
    }

    /// <summary>Does what is due and says when to call again at the latest.</summary>
    public TimeSpan Advance(TimeSpan now)
    {
        _askOn.Clear();
        _peers.Advance(now, Events, _askOn);
        TimeSpan next = _peers.Due;
        foreach (LinkState state in _links.Values)
        {
            if (_askOn.Contains(state.Link.Index)) state.Queries.Hasten(now);
            if (state.Queries.Due <= now)
            {
                Ask(now, state.Link, listKnown: state.Queries.HasAsked);
                state.Queries.Sent(now);
            }

            if (state.Responder.Due <= now)
            {
                (bool v4, bool v6) = Families(state.Responder.Records!.Endpoints);
                state.Responder.Advance(now, packet => Packets.Add(new MdnsPacket(state.Link.Index, packet, v4, v6)));
            }

            next = MdnsTimes.Min(next, MdnsTimes.Min(state.Queries.Due, state.Responder.Due));
        }

        return next;
    }

    /// <summary>Says goodbye on every link.</summary>
    public void Stop(TimeSpan now)
    {
        foreach (LinkState state in _links.Values) SetRecords(now, state, null);
    }

    // A peer seen on several links is asked for on all of them.
    private void Doubt(TimeSpan now, int link)
    {
        var elsewhere = new HashSet<int>();
        _peers.Doubt(now, link, elsewhere);
        foreach (int other in elsewhere)
        {
            if (_links.TryGetValue(other, out LinkState? state)) state.Queries = new MdnsQuerySchedule(settings.Random, now);
        }
    }

    private void Announce(TimeSpan now, LinkState state)
    {
        List<IPEndPoint> endpoints = AdvertisedAddresses.On(state.Link, settings.ListenAddresses);
        MdnsRecords? records = MdnsRecords.Create(settings.Names, settings.Self, endpoints, settings.Ttl);
        SetRecords(now, state, records);
    }

    private void SetRecords(TimeSpan now, LinkState state, MdnsRecords? records)
    {
        // Only a goodbye is sent at once: it goes out with the families of the records it takes back.
        (bool v4, bool v6) = Families(state.Responder.Records?.Endpoints ?? []);
        state.Responder.SetRecords(now, records, packet => Packets.Add(new MdnsPacket(state.Link.Index, packet, v4, v6)));
    }

    private void Learn(TimeSpan now, int link, List<MdnsSighting> sightings)
    {
        foreach (MdnsSighting sighting in sightings)
        {
            if (sighting.Peer != settings.Self) _peers.Saw(now, link, sighting, Events);
        }
    }

    private void Answer(TimeSpan now, LinkState state, IPEndPoint sender, bool fromThisHost, DnsMessage query)
    {
        state.Responder.Heard(now, sender, query);
        // Another process of this host may share the very endpoint with this one, whose own queries come back too: those never count.
        // Answers to QU questions and to one-shot askers may go to the asker alone.
        if (fromThisHost || sender.Port != Port) return;
        bool asksTheSame = query.Questions.Any(q => !q.UnicastReply && q.Type == DnsType.Ptr && q.Name.Equals(settings.Names.Service));
        if (!asksTheSame && query.Questions.Count > 0) return;
        bool knowsMore = query.Answers.Any(a => a.Type == DnsType.Ptr && a.Name.Equals(settings.Names.Service)
            && !a.Target!.Equals(settings.Names.Instance) && !_peers.Knows(state.Link.Index, a.Target, now));
        if (knowsMore) state.Queries.TakeBackFrom(sender, now);
        else if (asksTheSame) state.Queries.LeaveTo(sender, now);
    }

    // The first query lists nothing as known: its asker has just come, and where many come at once (after a power cut, say), listing
    // the others that came a moment before would only multiply the datagrams.
    private void Ask(TimeSpan now, MdnsLink link, bool listKnown)
    {
        var writer = new DnsMessageWriter(isResponse: false, MdnsRecords.MaxDatagram);
        writer.TryAddQuestion(settings.Names.Service, DnsType.Ptr);
        int packets = 0;
        foreach ((DnsName instance, uint ttl) in listKnown ? _peers.KnownOn(link.Index, now) : [])
        {
            DnsRecord known = DnsRecord.Ptr(settings.Names.Service, instance, ttl);
            if (writer.TryAddAnswer(known)) continue;
            if (++packets > MaxKnownAnswerPackets) break; // the rest answer needlessly
            writer.MarkTruncated();
            Packets.Add(new MdnsPacket(link.Index, writer.ToArray(), true, true));
            writer = new DnsMessageWriter(isResponse: false, MdnsRecords.MaxDatagram);
            writer.TryAddAnswer(known);
        }

        Packets.Add(new MdnsPacket(link.Index, writer.ToArray(), true, true));
    }

    // A packet leaves only from a family in which the node listens on the link: rust-libp2p dials the packet's source address.
    private static (bool V4, bool V6) Families(IReadOnlyList<IPEndPoint> endpoints) =>
        (endpoints.Any(e => e.AddressFamily == AddressFamily.InterNetwork),
            endpoints.Any(e => e.AddressFamily == AddressFamily.InterNetworkV6));
}
