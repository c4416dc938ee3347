using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastShare.Transport.Requests;

/// <summary>
/// Bytes as an array of integers, as serde_json writes and reads a <c>Vec&lt;u8&gt;</c>; System.Text.Json's own form is Base64. For a
/// property: <c>[JsonConverter(typeof(JsonByteVectorConverter))]</c>.
/// </summary>
public sealed class JsonByteVectorConverter : JsonConverter<byte[]>
{
    private const int FirstRent = 256;

    /// <inheritdoc/>
    public override byte[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw new JsonException("bytes are an array of integers here");
        byte[] rented = ArrayPool<byte>.Shared.Rent(FirstRent);
        try
        {
            int length = 0;
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (reader.TokenType != JsonTokenType.Number || !reader.TryGetByte(out byte value))
                    throw new JsonException("bytes are integers from 0 to 255");
                if (length == rented.Length)
                {
                    byte[] larger = ArrayPool<byte>.Shared.Rent(rented.Length * 2);
                    rented.CopyTo(larger, 0);
                    ArrayPool<byte>.Shared.Return(rented);
                    rented = larger;
                }

                rented[length++] = value;
            }

            return rented[..length];
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, byte[] value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(value);
        writer.WriteStartArray();
        foreach (byte b in value) writer.WriteNumberValue((uint)b);
        writer.WriteEndArray();
    }
}
