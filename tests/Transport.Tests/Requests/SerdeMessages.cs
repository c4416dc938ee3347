using System.Formats.Cbor;
using System.Text.Json.Serialization;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Requests;

/// <summary>
/// A message as a user would declare it beside this Rust struct:
/// <c>struct FileQuery { path: String, offset: u64, length: Option&lt;u32&gt;, hash: Vec&lt;u8&gt;, #[serde(with = "serde_bytes")] salt:
/// Vec&lt;u8&gt;, tags: Vec&lt;String&gt;, deep: bool }</c>.
/// </summary>
internal sealed record FileQuery
{
    public required string Path { get; init; }

    public ulong Offset { get; init; }

    public uint? Length { get; init; }

    [JsonConverter(typeof(JsonByteVectorConverter))]
    public required byte[] Hash { get; init; }

    [JsonConverter(typeof(JsonByteVectorConverter))]
    public required byte[] Salt { get; init; }

    public required IReadOnlyList<string> Tags { get; init; }

    public bool Deep { get; init; }

    public static void Write(CborWriter writer, FileQuery query)
    {
        writer.WriteStartMap(7);
        writer.WriteField("path").WriteTextString(query.Path);
        writer.WriteField("offset").WriteUInt64(query.Offset);
        writer.WriteField("length").WriteOption(query.Length, static (w, length) => w.WriteUInt32(length));
        writer.WriteField("hash").WriteByteVector(query.Hash);
        writer.WriteField("salt").WriteByteString(query.Salt);
        writer.WriteField("tags").WriteSequence(query.Tags, static (w, tag) => w.WriteTextString(tag));
        writer.WriteField("deep").WriteBoolean(query.Deep);
        writer.WriteEndMap();
    }

    public static FileQuery Read(CborReader reader)
    {
        string? path = null;
        byte[]? hash = null, salt = null;
        IReadOnlyList<string>? tags = null;
        ulong? offset = null;
        uint? length = null;
        bool? deep = null;
        reader.ReadStartMap();
        while (reader.TryReadField(out string? field))
        {
            switch (field)
            {
                case "path": path = reader.ReadTextString(); break;
                case "offset": offset = reader.ReadUInt64(); break;
                case "length": length = reader.TryReadNone() ? null : reader.ReadUInt32(); break;
                case "hash": hash = reader.ReadByteVector(); break;
                case "salt": salt = reader.ReadByteVector(); break;
                case "tags": tags = reader.ReadSequence(static r => r.ReadTextString()); break;
                case "deep": deep = reader.ReadBoolean(); break;
                default: reader.SkipValue(); break;
            }
        }

        return new FileQuery
        {
            Path = SerdeCborReading.Required(path, "path"),
            Offset = SerdeCborReading.Required(offset, "offset"),
            Length = length,
            Hash = SerdeCborReading.Required(hash, "hash"),
            Salt = SerdeCborReading.Required(salt, "salt"),
            Tags = SerdeCborReading.Required(tags, "tags"),
            Deep = SerdeCborReading.Required(deep, "deep"),
        };
    }

    public bool Equals(FileQuery? other) => other is not null && Path == other.Path && Offset == other.Offset && Length == other.Length
        && Hash.AsSpan().SequenceEqual(other.Hash) && Salt.AsSpan().SequenceEqual(other.Salt) && Tags.SequenceEqual(other.Tags)
        && Deep == other.Deep;

    public override int GetHashCode() => HashCode.Combine(Path, Offset, Length, Tags.Count);
}

/// <summary><c>enum Reply { NotFound, Busy(u32), Range(u64, u64), File { name: String, size: u64 } }</c>.</summary>
internal abstract record Reply
{
    public sealed record NotFound : Reply;

    public sealed record Busy(uint Seconds) : Reply;

    public sealed record Range(ulong From, ulong To) : Reply;

    public sealed record File(string Name, ulong Size) : Reply;

    public static void Write(CborWriter writer, Reply reply)
    {
        switch (reply)
        {
            case NotFound:
                writer.WriteUnitVariant("NotFound");
                return;
            case Busy busy:
                writer.WriteStartVariant("Busy");
                writer.WriteUInt32(busy.Seconds);
                break;
            case Range range:
                writer.WriteStartVariant("Range");
                writer.WriteStartArray(2);
                writer.WriteUInt64(range.From);
                writer.WriteUInt64(range.To);
                writer.WriteEndArray();
                break;
            case File file:
                writer.WriteStartVariant("File");
                writer.WriteStartMap(2);
                writer.WriteField("name").WriteTextString(file.Name);
                writer.WriteField("size").WriteUInt64(file.Size);
                writer.WriteEndMap();
                break;
        }

        writer.WriteEndVariant();
    }

    public static Reply Read(CborReader reader)
    {
        bool hasValue = reader.ReadStartVariant(out string name);
        Reply reply;
        switch (name, hasValue)
        {
            case ("NotFound", false): return new NotFound();
            case ("Busy", true):
                reply = new Busy(reader.ReadUInt32());
                break;
            case ("Range", true):
                reader.ReadStartArray();
                reply = new Range(reader.ReadUInt64(), reader.ReadUInt64());
                reader.ReadEndArray();
                break;
            case ("File", true):
                string? file = null;
                ulong? size = null;
                reader.ReadStartMap();
                while (reader.TryReadField(out string? field))
                {
                    if (field == "name") file = reader.ReadTextString();
                    else if (field == "size") size = reader.ReadUInt64();
                    else reader.SkipValue();
                }

                reply = new File(SerdeCborReading.Required(file, "name"), SerdeCborReading.Required(size, "size"));
                break;
            default: throw SerdeCborReading.UnknownVariant(name);
        }

        reader.ReadEndVariant();
        return reply;
    }
}

/// <summary>A message that nests: <c>struct Node { next: Option&lt;Box&lt;Node&gt;&gt; }</c>.</summary>
internal sealed record Node
{
    public Node? Next { get; init; }

    public static void Write(CborWriter writer, Node node)
    {
        writer.WriteStartMap(1);
        writer.WriteField("next").WriteOption(node.Next, Write);
        writer.WriteEndMap();
    }

    public static Node Read(CborReader reader)
    {
        Node? next = null;
        reader.ReadStartMap();
        while (reader.TryReadField(out string? field))
        {
            if (field == "next" && !reader.TryReadNone()) next = Read(reader);
        }

        return new Node { Next = next };
    }
}

[JsonConverter(typeof(JsonStringEnumConverter<Colour>))]
internal enum Colour
{
    Red,
    Green,
}

/// <summary><c>struct Painted { colour: Colour, result: Outcome }</c> with <c>enum Outcome { Ok(u32), Err(String) }</c>.</summary>
internal sealed record Painted(Colour Colour, Outcome Result);

internal sealed record Outcome
{
    [JsonPropertyName("Ok")]
    public uint? Ok { get; init; }

    [JsonPropertyName("Err")]
    public string? Err { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(FileQuery))]
[JsonSerializable(typeof(Node))]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(Painted))]
internal sealed partial class SerdeJson : JsonSerializerContext;
