using System.Net;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Remembers what the last response of each sender said: peers send the same datagram for hours, and parsing addresses is by far the
/// most work that a busy network makes. Bounded; not thread-safe.
/// </summary>
internal sealed class RepeatedResponses
{
    /// <summary>Senders remembered; when there are more, all are forgotten and it begins anew.</summary>
    public const int MaxSenders = 512;

    private const int MaxLength = 1500;

    private readonly Dictionary<(int Link, IPEndPoint Sender), (byte[] Datagram, List<MdnsSighting> Sightings)> _last = [];

    /// <summary>What a response says, if it is the same as the sender's last; otherwise null.</summary>
    public List<MdnsSighting>? Find(int link, IPEndPoint sender, ReadOnlySpan<byte> datagram) =>
        _last.TryGetValue((link, sender), out var last) && datagram.SequenceEqual(last.Datagram) ? last.Sightings : null;

    /// <summary>Remembers what a response said.</summary>
    public void Remember(int link, IPEndPoint sender, ReadOnlySpan<byte> datagram, List<MdnsSighting> sightings)
    {
        if (datagram.Length > MaxLength) return;
        if (_last.Count >= MaxSenders) _last.Clear();
        _last[(link, sender)] = (datagram.ToArray(), sightings);
    }

    /// <summary>Forgets everything.</summary>
    public void Clear() => _last.Clear();
}
