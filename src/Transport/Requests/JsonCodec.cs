using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>
/// Messages in JSON through System.Text.Json's source-generated serialization: no reflection. Compatible with rust-libp2p's
/// <c>json::Behaviour</c> where the types are: serde uses the fields' names as they stand in Rust (mostly snake_case), an enum's name
/// for a variant without a value, and an array of integers for a <c>Vec&lt;u8&gt;</c> (<see cref="JsonByteVectorConverter"/>).
/// Thread-safe.
/// </summary>
/// <remarks>
/// A message is one JSON value; white space may surround it, nothing else. Depth, comments, trailing commas, duplicate properties and
/// unknown members are as the options of the <see cref="JsonTypeInfo{T}"/> say (defaults: 64 levels; no; no; the last; skipped). serde
/// refuses a null or a missing field except for an <c>Option</c>: so do <c>RespectNullableAnnotations</c> and <c>required</c>.
/// </remarks>
/// <typeparam name="T">The message.</typeparam>
public sealed class JsonCodec<T> : IMessageCodec<T>
{
    private readonly JsonTypeInfo<T> _type;
    private readonly bool _nullable;
    private readonly JsonWriterOptions _writing;
    private readonly JsonReaderOptions _reading;

    /// <summary>Creates the codec.</summary>
    /// <param name="type">From a source-generated <see cref="System.Text.Json.Serialization.JsonSerializerContext"/>.</param>
    /// <param name="nullable">Whether <c>null</c> is a message, as for Rust's <c>Option</c>.</param>
    public JsonCodec(JsonTypeInfo<T> type, bool nullable = false)
    {
        ArgumentNullException.ThrowIfNull(type);
        _type = type;
        _nullable = nullable;
        JsonSerializerOptions options = type.Options;
        _writing = new JsonWriterOptions
        {
            // Text on a stream, not in a page: what JSON itself need not escape stays as it is, as with serde_json.
            Encoder = options.Encoder ?? JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            MaxDepth = options.MaxDepth,
            SkipValidation = true, // the serializer writes what is valid
        };
        _reading = new JsonReaderOptions
        {
            AllowTrailingCommas = options.AllowTrailingCommas,
            CommentHandling = options.ReadCommentHandling,
            MaxDepth = options.MaxDepth,
        };
    }

    /// <inheritdoc/>
    public void Encode(T message, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        using var writer = new Utf8JsonWriter(output, _writing);
        JsonSerializer.Serialize(writer, message, _type);
    }

    /// <inheritdoc/>
    public T Decode(in ReadOnlySequence<byte> payload)
    {
        T? message;
        try
        {
            var reader = new Utf8JsonReader(payload, _reading);
            message = JsonSerializer.Deserialize(ref reader, _type);
            if (reader.Read()) throw new FormatException("the message is no JSON: something follows its value");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or OverflowException)
        {
            throw new FormatException($"the JSON message is no {typeof(T).Name}: {PeerText.Escape(e.Message)}", e);
        }

        if (message is null && !_nullable) throw new FormatException($"the JSON message is null where {typeof(T).Name} is expected");
        return message!;
    }
}
