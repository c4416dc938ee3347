using System.Formats.Cbor;
using FastShare.Transport.Requests;

namespace FastShare.Samples.QueuedFiles;

/// <summary>
/// A whole file in one request; with rust-libp2p's <c>cbor::Behaviour</c> it would be
/// <c>struct FileRequest { name: String, #[serde(with = "serde_bytes")] content: Vec&lt;u8&gt; }</c>.
/// </summary>
internal sealed record FileRequest(string Name, byte[] Content)
{
    public static void Write(CborWriter writer, FileRequest request)
    {
        writer.WriteStartMap(2);
        writer.WriteField("name").WriteTextString(request.Name);
        writer.WriteField("content").WriteByteString(request.Content);
        writer.WriteEndMap();
    }

    public static FileRequest Read(CborReader reader)
    {
        string? name = null;
        byte[]? content = null;
        reader.ReadStartMap();
        while (reader.TryReadField(out string? field))
        {
            if (field == "name") name = reader.ReadTextString();
            else if (field == "content") content = reader.ReadByteVector();
            else reader.SkipValue();
        }

        return new FileRequest(SerdeCborReading.Required(name, "name"), SerdeCborReading.Required(content, "content"));
    }
}

/// <summary>What the receiver has got: <c>struct FileReceipt { bytes: u64, sha256: String }</c>.</summary>
internal sealed record FileReceipt(ulong Bytes, string Sha256)
{
    public static void Write(CborWriter writer, FileReceipt receipt)
    {
        writer.WriteStartMap(2);
        writer.WriteField("bytes").WriteUInt64(receipt.Bytes);
        writer.WriteField("sha256").WriteTextString(receipt.Sha256);
        writer.WriteEndMap();
    }

    public static FileReceipt Read(CborReader reader)
    {
        ulong? bytes = null;
        string? sha256 = null;
        reader.ReadStartMap();
        while (reader.TryReadField(out string? field))
        {
            if (field == "bytes") bytes = reader.ReadUInt64();
            else if (field == "sha256") sha256 = reader.ReadTextString();
            else reader.SkipValue();
        }

        return new FileReceipt(SerdeCborReading.Required(bytes, "bytes"), SerdeCborReading.Required(sha256, "sha256"));
    }
}

internal static class FileProtocol
{
    /// <summary>The largest file that one request carries, a few bytes for the message around it left over.</summary>
    public const int MaxFile = (1 << 20) - 4096;

    /// <summary>The protocol, for one direction: a sender does not serve it.</summary>
    public static RequestProtocol<FileRequest, FileReceipt> For(RequestDirection direction) => new(
        "/fastshare/samples/files/1",
        new CborCodec<FileRequest>(FileRequest.Write, FileRequest.Read),
        new CborCodec<FileReceipt>(FileReceipt.Write, FileReceipt.Read),
        new RequestProtocolOptions { Direction = direction });
}
