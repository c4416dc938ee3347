using System.Buffers.Binary;

namespace FastShare.Transfer.Storage;

/// <summary>Names a transfer: 16 bytes, told by the sender, part of the staging folder's name.</summary>
/// <param name="Value">The bytes as a big-endian number.</param>
internal readonly record struct TransferId(UInt128 Value)
{
    /// <summary>Length in bytes.</summary>
    public const int Size = 16;

    /// <summary>Reads an id from exactly 16 bytes.</summary>
    /// <exception cref="ArgumentException">Not 16 bytes.</exception>
    public static TransferId FromBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size) throw new ArgumentException("A transfer id has 16 bytes.", nameof(bytes));
        return new TransferId(BinaryPrimitives.ReadUInt128BigEndian(bytes));
    }

    /// <summary>Writes the 16 bytes.</summary>
    public void WriteTo(Span<byte> destination) => BinaryPrimitives.WriteUInt128BigEndian(destination, Value);

    /// <summary>The 32 lower-case hexadecimal digits.</summary>
    public override string ToString() => Value.ToString("x32", System.Globalization.CultureInfo.InvariantCulture);
}
