using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FastShare.Transport.Buffers;

namespace FastShare.Transport.Identity;

/// <summary>
/// A self-describing network address (multiformats/multiaddr), such as <c>/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…</c>.
/// Immutable; equal by binary form.
/// </summary>
public sealed class Multiaddr : IEquatable<Multiaddr>
{
    /// <summary>Longest binary form accepted, in bytes: a DNS name, port, relay and two peer ids fit several times over.</summary>
    public const int MaxLength = 1024;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly byte[] _bytes;
    private readonly Component[] _components;
    private string? _text; // made when first asked for; made twice by a race, it is the same text

    private readonly record struct Component(MultiaddrProtocol Protocol, int Start, int ValueStart, int End);

    private Multiaddr(byte[] bytes, Component[] components)
    {
        _bytes = bytes;
        _components = components;
    }

    /// <summary>The binary form.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>The peer id of the last <c>/p2p/</c> component, or null.</summary>
    public PeerId? PeerId
    {
        get
        {
            for (int i = _components.Length - 1; i >= 0; i--)
            {
                if (_components[i].Protocol.Code == MultiaddrProtocol.P2p) return PeerId.FromBytes(Value(_components[i]));
            }

            return null;
        }
    }

    /// <summary>Whether the address ends in a <c>/p2p/</c> component.</summary>
    public bool EndsInPeerId => _components.Length > 0 && _components[^1].Protocol.Code == MultiaddrProtocol.P2p;

    /// <summary>Parses the text form.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidAddress"/>; the message says what is wrong.</exception>
    public static Multiaddr Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParseCore(text, out Multiaddr? address, out string? problem)
            ? address
            : throw new TransportException(TransportError.InvalidAddress, $"not a multiaddr: '{PeerText.Escape(text)}': {problem}");
    }

    /// <summary>Parses the text form.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out Multiaddr? address)
    {
        address = null;
        return text is not null && TryParseCore(text, out address, out _);
    }

    /// <summary>Parses the binary form.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidAddress"/>: malformed, or with a component of unknown code.</exception>
    public static Multiaddr FromBytes(ReadOnlySpan<byte> bytes) =>
        TryFromBytes(bytes, out Multiaddr? address) ? address : throw new TransportException(TransportError.InvalidAddress, "not a multiaddr: the bytes are malformed or hold an unknown component");

    /// <summary>Parses the binary form.</summary>
    public static bool TryFromBytes(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out Multiaddr? address)
    {
        address = null;
        if (bytes.Length is 0 or > MaxLength) return false;
        var components = new List<Component>(4);
        int at = 0;
        while (at < bytes.Length)
        {
            int start = at;
            if (Varint.TryRead(bytes[at..], out ulong code, out int used) != VarintStatus.Done || code > int.MaxValue) return false;
            at += used;
            if (MultiaddrProtocol.Find((int)code) is not { } protocol) return false;
            ulong size = (ulong)Math.Max(protocol.Size, 0);
            if (protocol.Size < 0)
            {
                if (Varint.TryRead(bytes[at..], out size, out used) != VarintStatus.Done) return false;
                at += used;
            }

            if (size > (ulong)(bytes.Length - at)) return false;
            if (!IsValidValue(protocol, bytes.Slice(at, (int)size))) return false;
            components.Add(new Component(protocol, start, at, at + (int)size));
            at += (int)size;
        }

        address = new Multiaddr(bytes.ToArray(), [.. components]);
        return true;
    }

    /// <summary>The address of an IP endpoint over TCP. An IPv6 scope id becomes an <c>ip6zone</c> component.</summary>
    public static Multiaddr FromTcp(IPEndPoint endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        IPAddress ip = endpoint.Address.IsIPv4MappedToIPv6 ? endpoint.Address.MapToIPv4() : endpoint.Address;
        string port = endpoint.Port.ToString(CultureInfo.InvariantCulture);
        if (ip.AddressFamily == AddressFamily.InterNetwork) return Parse($"/ip4/{ip}/tcp/{port}");
        if (ip.ScopeId == 0) return Parse($"/ip6/{ip}/tcp/{port}");
        string zone = ip.ScopeId.ToString(CultureInfo.InvariantCulture);
        return Parse($"/ip6zone/{zone}/ip6/{new IPAddress(ip.GetAddressBytes())}/tcp/{port}");
    }

    /// <summary>
    /// The IP endpoint of a TCP address: <c>[/ip6zone/Z]/ip4|ip6/A/tcp/P[/p2p/ID]</c>, nothing else in it. A zone must be an
    /// interface index or the name of one of this machine's interfaces.
    /// </summary>
    public bool TryGetTcpEndPoint([NotNullWhen(true)] out IPEndPoint? endpoint)
    {
        endpoint = null;
        int at = 0;
        uint scope = 0;
        if (Code(at) == MultiaddrProtocol.Ip6Zone)
        {
            if (!TryGetScope(StrictUtf8.GetString(Value(_components[at])), out scope)) return false;
            at++;
            if (Code(at) != MultiaddrProtocol.Ip6) return false;
        }

        if (Code(at) is not (MultiaddrProtocol.Ip4 or MultiaddrProtocol.Ip6) || Code(at + 1) != MultiaddrProtocol.Tcp || !IsEndOrPeer(at + 2)) return false;
        var ip = new IPAddress(Value(_components[at]));
        if (scope != 0) ip.ScopeId = scope;
        endpoint = new IPEndPoint(ip, BinaryPrimitives.ReadUInt16BigEndian(Value(_components[at + 1])));
        return true;
    }

    /// <summary>The host name and port of a TCP address by DNS: <c>dns|dns4|dns6/NAME/tcp/P[/p2p/ID]</c>.</summary>
    /// <param name="name">The host name.</param>
    /// <param name="port">The port.</param>
    /// <param name="family">Which kind of address to look up; <see cref="AddressFamily.Unspecified"/> for both.</param>
    public bool TryGetDnsTcp([NotNullWhen(true)] out string? name, out int port, out AddressFamily family)
    {
        name = null;
        port = 0;
        family = Code(0) switch
        {
            MultiaddrProtocol.Dns4 => AddressFamily.InterNetwork,
            MultiaddrProtocol.Dns6 => AddressFamily.InterNetworkV6,
            _ => AddressFamily.Unspecified,
        };
        if (Code(0) is not (MultiaddrProtocol.Dns or MultiaddrProtocol.Dns4 or MultiaddrProtocol.Dns6)
            || Code(1) != MultiaddrProtocol.Tcp || !IsEndOrPeer(2)) return false;
        name = StrictUtf8.GetString(Value(_components[0]));
        port = BinaryPrimitives.ReadUInt16BigEndian(Value(_components[1]));
        return true;
    }

    /// <summary>The name of an in-process address: <c>/memory/NAME[/p2p/ID]</c>.</summary>
    public bool TryGetMemoryName([NotNullWhen(true)] out string? name)
    {
        name = Code(0) == MultiaddrProtocol.Memory && IsEndOrPeer(1) ? StrictUtf8.GetString(Value(_components[0])) : null;
        return name is not null;
    }

    /// <summary>This address with <c>/p2p/<paramref name="peer"/></c> at its end, replacing a peer id that stands there.</summary>
    public Multiaddr WithPeerId(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ReadOnlySpan<byte> head = EndsInPeerId ? _bytes.AsSpan(0, _components[^1].Start) : _bytes;
        // 0xa503 is the varint of 421, p2p
        return FromBytes([.. head, 0xa5, 0x03, (byte)peer.Bytes.Length, .. peer.Bytes]);
    }

    /// <summary>This address without a <c>/p2p/</c> component at its end; null if nothing else is in it.</summary>
    public Multiaddr? WithoutPeerId()
    {
        if (!EndsInPeerId) return this;
        return _components.Length == 1 ? null : FromBytes(_bytes.AsSpan(0, _components[^1].Start));
    }

    /// <summary>The text form.</summary>
    public override string ToString() => _text ??= Print();

    /// <inheritdoc/>
    public bool Equals(Multiaddr? other) => other is not null && _bytes.AsSpan().SequenceEqual(other._bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Multiaddr);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(_bytes);
        return hash.ToHashCode();
    }

    /// <summary>Equal by binary form.</summary>
    public static bool operator ==(Multiaddr? left, Multiaddr? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Not equal by binary form.</summary>
    public static bool operator !=(Multiaddr? left, Multiaddr? right) => !(left == right);

    private int Code(int index) => index < _components.Length ? _components[index].Protocol.Code : -1;

    private bool IsEndOrPeer(int index) => index == _components.Length || (index == _components.Length - 1 && Code(index) == MultiaddrProtocol.P2p);

    private ReadOnlySpan<byte> Value(Component component) => _bytes.AsSpan(component.ValueStart, component.End - component.ValueStart);

    private static bool TryGetScope(string zone, out uint scope)
    {
        if (uint.TryParse(zone, NumberStyles.None, CultureInfo.InvariantCulture, out scope)) return true;
        foreach (System.Net.NetworkInformation.NetworkInterface nic in System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces())
        {
            if (nic.Name != zone || !nic.Supports(System.Net.NetworkInformation.NetworkInterfaceComponent.IPv6)) continue;
            scope = (uint)nic.GetIPProperties().GetIPv6Properties().Index;
            return true;
        }

        return false;
    }

    private static bool IsValidValue(MultiaddrProtocol protocol, ReadOnlySpan<byte> value)
    {
        switch (protocol.Value)
        {
            case MultiaddrValue.PeerId:
                return PeerId.TryFromBytes(value, out _);
            case MultiaddrValue.Text:
                // No '/' (it would read back as another address), nothing that could mislead or steer a terminal.
                if (value.IsEmpty || value.ContainsAny((byte)'/', (byte)' ') || !System.Text.Unicode.Utf8.IsValid(value)) return false;
                return PeerText.IsPlain(Encoding.UTF8.GetString(value));
            default:
                return true;
        }
    }

    private string Print()
    {
        var text = new StringBuilder();
        foreach (Component component in _components)
        {
            text.Append('/').Append(component.Protocol.Name);
            ReadOnlySpan<byte> value = Value(component);
            switch (component.Protocol.Value)
            {
                case MultiaddrValue.Ip4 or MultiaddrValue.Ip6: text.Append('/').Append(new IPAddress(value)); break;
                case MultiaddrValue.Port: text.Append(CultureInfo.InvariantCulture, $"/{BinaryPrimitives.ReadUInt16BigEndian(value)}"); break;
                case MultiaddrValue.Text: text.Append('/').Append(StrictUtf8.GetString(value)); break;
                case MultiaddrValue.PeerId: text.Append('/').Append(PeerId.FromBytes(value)); break;
                case MultiaddrValue.Opaque: text.Append('/').Append(Convert.ToHexStringLower(value)); break;
            }
        }

        return text.ToString();
    }

    private static bool TryParseCore(string text, [NotNullWhen(true)] out Multiaddr? address, [NotNullWhen(false)] out string? problem)
    {
        address = null;
        if (text.Length > 4 * MaxLength)
        {
            problem = "it is too long";
            return false;
        }

        if (text.Length == 0 || text[0] != '/')
        {
            problem = "it must start with '/' (for example /ip4/192.0.2.7/tcp/4001)";
            return false;
        }

        string[] parts = text.TrimEnd('/').Split('/');
        var bytes = new List<byte>(64);
        Span<byte> varint = stackalloc byte[Varint.MaxLength];
        for (int i = 1; i < parts.Length; i++)
        {
            string name = parts[i];
            if (MultiaddrProtocol.Find(name) is not { } protocol)
            {
                problem = $"'{PeerText.Escape(name)}' is not a known protocol";
                return false;
            }

            bytes.AddRange(varint[..Varint.Write(varint, (ulong)protocol.Code)]);
            if (protocol.Value == MultiaddrValue.None) continue;
            if (++i >= parts.Length)
            {
                problem = $"'{name}' needs a value";
                return false;
            }

            if (ParseValue(protocol, parts[i]) is not { } value || (protocol.Size >= 0 && value.Length != protocol.Size) || !IsValidValue(protocol, value))
            {
                problem = $"'{PeerText.Escape(parts[i])}' is not a value for '{name}'";
                return false;
            }

            if (protocol.Size < 0) bytes.AddRange(varint[..Varint.Write(varint, (ulong)value.Length)]);
            bytes.AddRange(value);
        }

        problem = "it is empty or too long";
        return TryFromBytes([.. bytes], out address);
    }

    private static byte[]? ParseValue(MultiaddrProtocol protocol, string text)
    {
        switch (protocol.Value)
        {
            case MultiaddrValue.Ip4:
                // IPAddress.Parse also takes 1.2 and 0x7f000001; a multiaddr has four decimal parts
                return text.Count(c => c == '.') == 3 && text.All(c => char.IsAsciiDigit(c) || c == '.') && IPAddress.TryParse(text, out IPAddress? ip4) && ip4.ToString() == text
                    ? ip4.GetAddressBytes() : null;
            case MultiaddrValue.Ip6:
                return !text.Contains('%') && !text.Contains('[') && IPAddress.TryParse(text, out IPAddress? ip6) && ip6.AddressFamily == AddressFamily.InterNetworkV6
                    ? ip6.GetAddressBytes() : null;
            case MultiaddrValue.Port:
                return ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) ? [(byte)(port >> 8), (byte)port] : null;
            case MultiaddrValue.Text:
                return PeerText.IsPlain(text) ? Encoding.UTF8.GetBytes(text) : null;
            case MultiaddrValue.PeerId:
                return PeerId.TryParse(text, out PeerId? id) ? id.Bytes.ToArray() : null;
            default:
                return null; // opaque components can be carried, not written
        }
    }
}
