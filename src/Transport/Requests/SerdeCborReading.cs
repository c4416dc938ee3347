using System.Diagnostics.CodeAnalysis;
using System.Formats.Cbor;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>
/// Reading what Rust's serde writes by default through cbor4ii; the counterpart of <see cref="SerdeCborWriting"/>. What is not here is
/// read with <see cref="CborReader"/> itself. A struct is <c>ReadStartMap()</c>, then <see cref="TryReadField"/> until it returns
/// false; fields may come in any order, and those that are not known are skipped, as serde does.
/// </summary>
public static class SerdeCborReading
{
    /// <summary>Room that is made for an announced number of items before they are there.</summary>
    private const int MaxInitialItems = 256;

    /// <summary>Characters of a peer's text in a message.</summary>
    private const int MaxQuoted = 60;

    /// <summary>The name of the struct's next field, whose value is to be read or skipped next; false: the struct has ended.</summary>
    public static bool TryReadField(this CborReader reader, [NotNullWhen(true)] out string? name)
    {
        ArgumentNullException.ThrowIfNull(reader);
        if (reader.PeekState() == CborReaderState.EndMap)
        {
            reader.ReadEndMap();
            name = null;
            return false;
        }

        name = reader.ReadTextString();
        return true;
    }

    /// <summary>The value of a field that must have been there.</summary>
    /// <exception cref="FormatException">It was not.</exception>
    public static T Required<T>(T? value, string name)
        where T : class => value ?? throw Missing(name);

    /// <inheritdoc cref="Required{T}(T, string)"/>
    public static T Required<T>(T? value, string name)
        where T : struct => value ?? throw Missing(name);

    /// <summary>Whether an <c>Option</c> is none, which is read with this call; otherwise its value is to be read next.</summary>
    public static bool TryReadNone(this CborReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        if (reader.PeekState() != CborReaderState.Null) return false;
        reader.ReadNull();
        return true;
    }

    /// <summary>A <c>Vec&lt;T&gt;</c>.</summary>
    public static List<T> ReadSequence<T>(this CborReader reader, Func<CborReader, T> read)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(read);
        var items = new List<T>(Math.Min(reader.ReadStartArray() ?? 0, MaxInitialItems));
        while (reader.PeekState() != CborReaderState.EndArray) items.Add(read(reader));
        reader.ReadEndArray();
        return items;
    }

    /// <summary>Bytes in either form: a byte string (<c>serde_bytes</c>), or an array of integers (a plain <c>Vec&lt;u8&gt;</c>).</summary>
    public static byte[] ReadByteVector(this CborReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        if (reader.PeekState() is CborReaderState.ByteString or CborReaderState.StartIndefiniteLengthByteString)
            return reader.ReadByteString();
        if (reader.ReadStartArray() is not { } length) return ReadOpenByteVector(reader);
        byte[] bytes = new byte[length]; // at most the message's own length: every item takes a byte or more
        for (int i = 0; i < length; i++) bytes[i] = ReadU8(reader);
        reader.ReadEndArray();
        return bytes;
    }

    /// <summary>
    /// The name of an enum's variant. True: it has a value, which is to be read next, then <see cref="ReadEndVariant"/>.
    /// </summary>
    /// <exception cref="FormatException">It is neither text nor a map of one entry.</exception>
    public static bool ReadStartVariant(this CborReader reader, out string name)
    {
        ArgumentNullException.ThrowIfNull(reader);
        bool hasValue = reader.PeekState() == CborReaderState.StartMap;
        if (hasValue && reader.ReadStartMap() is { } entries and not 1)
            throw new FormatException($"an enum's variant is a map of one entry, not of {entries}");
        name = reader.ReadTextString();
        return hasValue;
    }

    /// <summary>Ends what <see cref="ReadStartVariant"/> began, where that was true.</summary>
    public static void ReadEndVariant(this CborReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        reader.ReadEndMap();
    }

    /// <summary><c>()</c> or a unit struct: an empty array.</summary>
    public static void ReadUnit(this CborReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        reader.ReadStartArray();
        reader.ReadEndArray();
    }

    /// <summary>A <c>u8</c>.</summary>
    /// <exception cref="OverflowException">It is larger, or negative.</exception>
    public static byte ReadU8(this CborReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        return checked((byte)reader.ReadUInt32());
    }

    /// <summary>What a decoder throws for a variant that it does not know.</summary>
    public static FormatException UnknownVariant(string name) => new($"{PeerText.Escape(name, MaxQuoted)} is no variant known here");

    private static byte[] ReadOpenByteVector(CborReader reader)
    {
        var bytes = new List<byte>();
        while (reader.PeekState() != CborReaderState.EndArray) bytes.Add(ReadU8(reader));
        reader.ReadEndArray();
        return [.. bytes];
    }

    private static FormatException Missing(string name) => new($"the message has no field '{name}'");
}
