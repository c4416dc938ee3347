using System.Text;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// A domain name in uncompressed wire form (RFC 1035, 3.1). Immutable; equal without regard to ASCII case, as mDNS compares names.
/// </summary>
internal sealed class DnsName : IEquatable<DnsName>
{
    /// <summary>Longest name on the wire in bytes, the final zero included (RFC 1035, 2.3.4).</summary>
    public const int MaxLength = 255;

    /// <summary>Longest label in bytes (RFC 1035, 2.3.4).</summary>
    public const int MaxLabelLength = 63;

    private readonly byte[] _wire;
    private readonly int _hash;

    private DnsName(byte[] wire)
    {
        _wire = wire;
        Span<byte> lower = stackalloc byte[MaxLength];
        for (int i = 0; i < wire.Length; i++) lower[i] = Lower(wire[i]);
        var hash = default(HashCode); // seeded at random: names come from anyone
        hash.AddBytes(lower[..wire.Length]);
        _hash = hash.ToHashCode();
    }

    /// <summary>Length-prefixed labels and the final zero.</summary>
    public ReadOnlySpan<byte> Wire => _wire;

    /// <summary>The name of a text such as <c>_p2p._udp.local</c>, a final dot allowed.</summary>
    /// <exception cref="FormatException">A label is empty or too long, or the name is; the message says which.</exception>
    public static DnsName Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string name = text.EndsWith('.') ? text[..^1] : text;
        var wire = new List<byte>(name.Length + 2);
        foreach (string label in name.Split('.'))
        {
            int length = Encoding.UTF8.GetByteCount(label);
            if (length is 0 or > MaxLabelLength) throw new FormatException($"a label of a DNS name has 1 to {MaxLabelLength} bytes");
            wire.Add((byte)length);
            wire.AddRange(Encoding.UTF8.GetBytes(label));
        }

        wire.Add(0);
        if (wire.Count > MaxLength) throw new FormatException($"a DNS name has at most {MaxLength} bytes");
        return new DnsName([.. wire]);
    }

    /// <summary>Copies a name whose labels and length were checked.</summary>
    public static DnsName FromCheckedWire(ReadOnlySpan<byte> wire) => new(wire.ToArray());

    /// <summary>The name with one more label in front.</summary>
    /// <exception cref="FormatException">It would be too long.</exception>
    public DnsName Prepend(string label)
    {
        int length = Encoding.UTF8.GetByteCount(label);
        if (length is 0 or > MaxLabelLength || length + 1 + _wire.Length > MaxLength)
            throw new FormatException("the DNS name would be too long");
        return new DnsName([(byte)length, .. Encoding.UTF8.GetBytes(label), .. _wire]);
    }

    /// <summary>Whether this is exactly one label followed by <paramref name="parent"/>.</summary>
    public bool IsChildOf(DnsName parent)
    {
        int rest = _wire[0] + 1;
        return _wire[0] != 0 && _wire.Length - rest == parent._wire.Length && SameIgnoringCase(_wire.AsSpan(rest), parent._wire);
    }

    /// <summary>Compares wire bytes without regard to ASCII case; a length byte (at most 63) never looks like a letter.</summary>
    public static bool SameIgnoringCase(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length) return false;
        for (int i = 0; i < left.Length; i++)
        {
            if (left[i] != right[i] && Lower(left[i]) != Lower(right[i])) return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public bool Equals(DnsName? other) =>
        other is not null && (ReferenceEquals(this, other) || (_hash == other._hash && SameIgnoringCase(_wire, other._wire)));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as DnsName);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;

    /// <summary>Dotted text, for tests and logs; not escaped.</summary>
    public override string ToString()
    {
        var text = new StringBuilder(_wire.Length);
        for (int at = 0; _wire[at] != 0; at += _wire[at] + 1)
        {
            if (at > 0) text.Append('.');
            text.Append(Encoding.UTF8.GetString(_wire, at + 1, _wire[at]));
        }

        return text.ToString();
    }

    private static byte Lower(byte b) => b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b | 0x20) : b;
}
