using System.Buffers.Binary;
using System.Formats.Cbor;

namespace FastShare.Transport.Requests;

/// <summary>
/// Writing CBOR as Rust's serde does by default through cbor4ii, so that rust-libp2p's <c>cbor::Behaviour</c> reads it. What is not
/// here is written with <see cref="CborWriter"/> itself: integers, booleans, text, maps, <c>serde_bytes</c> (a byte string), tuples
/// (an array). A struct is a map of <see cref="WriteField"/>s: <c>WriteStartMap(fields)</c> … <c>WriteEndMap()</c>.
/// </summary>
public static class SerdeCborWriting
{
    /// <summary>The name of a struct's field; its value is to be written next, with the writer that is returned.</summary>
    public static CborWriter WriteField(this CborWriter writer, string name)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteTextString(name);
        return writer;
    }

    /// <summary>An <c>Option</c>: the value itself, or null.</summary>
    public static void WriteOption<T>(this CborWriter writer, T? value, Action<CborWriter, T> write)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(write);
        if (value is null) writer.WriteNull();
        else write(writer, value);
    }

    /// <inheritdoc cref="WriteOption{T}(CborWriter, T, Action{CborWriter, T})"/>
    public static void WriteOption<T>(this CborWriter writer, T? value, Action<CborWriter, T> write)
        where T : struct
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(write);
        if (value is not { } some) writer.WriteNull();
        else write(writer, some);
    }

    /// <summary>A <c>Vec&lt;T&gt;</c>: an array.</summary>
    public static void WriteSequence<T>(this CborWriter writer, IReadOnlyCollection<T> items, Action<CborWriter, T> write)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(write);
        writer.WriteStartArray(items.Count);
        foreach (T item in items) write(writer, item);
        writer.WriteEndArray();
    }

    /// <summary>
    /// A plain <c>Vec&lt;u8&gt;</c> or <c>[u8; N]</c>: an array of integers, up to two bytes for each. A field with
    /// <c>#[serde(with = "serde_bytes")]</c> is <see cref="CborWriter.WriteByteString(ReadOnlySpan{byte})"/> instead; neither form is
    /// read by the other side where it expects the other.
    /// </summary>
    public static void WriteByteVector(this CborWriter writer, ReadOnlySpan<byte> bytes)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray(bytes.Length);
        foreach (byte b in bytes) writer.WriteUInt32(b);
        writer.WriteEndArray();
    }

    /// <summary>An enum's variant without a value: its name.</summary>
    public static void WriteUnitVariant(this CborWriter writer, string name)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteTextString(name);
    }

    /// <summary>
    /// An enum's variant with a value: a map of one entry, from its name to the value (of a newtype variant), an array (tuple) or a
    /// map (struct), which is to be written next, then <see cref="WriteEndVariant"/>.
    /// </summary>
    public static void WriteStartVariant(this CborWriter writer, string name)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartMap(1);
        writer.WriteTextString(name);
    }

    /// <summary>Ends what <see cref="WriteStartVariant"/> began.</summary>
    public static void WriteEndVariant(this CborWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteEndMap();
    }

    /// <summary><c>()</c> or a unit struct: an empty array in cbor4ii.</summary>
    public static void WriteUnit(this CborWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray(0);
        writer.WriteEndArray();
    }

    /// <summary>
    /// An <c>f32</c> in four bytes. <see cref="CborWriter.WriteSingle"/> shortens values that allow it, which cbor4ii does not read.
    /// </summary>
    public static void WriteF32(this CborWriter writer, float value)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Span<byte> item = [0xfa, 0, 0, 0, 0];
        BinaryPrimitives.WriteSingleBigEndian(item[1..], value);
        writer.WriteEncodedValue(item);
    }

    /// <summary>
    /// An <c>f64</c> in eight bytes. <see cref="CborWriter.WriteDouble"/> shortens values that allow it, which cbor4ii does not read.
    /// </summary>
    public static void WriteF64(this CborWriter writer, double value)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Span<byte> item = [0xfb, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteDoubleBigEndian(item[1..], value);
        writer.WriteEncodedValue(item);
    }
}
