using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;

namespace FastShare.Testing.Multiplexing;

/// <summary>
/// A remote side that does exactly what a test says: sends frames, well-formed or not, and tells which came. One reader at a time;
/// sending is thread-safe.
/// </summary>
internal sealed class ScriptedYamuxPeer(IByteChannel channel)
{
    private readonly SemaphoreSlim _sending = new(1);
    private byte[] _pending = [];

    /// <summary>Whether pings are answered, and so hidden from the test.</summary>
    public bool AnswersPings { get; set; } = true;

    /// <summary>Sends raw bytes.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        await _sending.WaitAsync();
        try
        {
            while (!bytes.IsEmpty)
            {
                ReadOnlyMemory<byte> part = bytes[..Math.Min(bytes.Length, 256 << 10)];
                channel.Write(part);
                await channel.FlushAsync(default);
                bytes = bytes[part.Length..];
            }
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Sends bytes given as hex; blanks are ignored.</summary>
    public Task SendAsync(string hex) => SendAsync(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)));

    /// <summary>Sends one frame. The length is the payload's, if there is one.</summary>
    public Task SendAsync(FrameType type, FrameFlags flags, uint stream, uint length = 0, byte[]? payload = null)
    {
        var frame = new byte[YamuxHeader.Size + (payload?.Length ?? 0)];
        new YamuxHeader(type, flags, stream, payload is null ? length : (uint)payload.Length).Write(frame);
        payload?.CopyTo(frame.AsSpan(YamuxHeader.Size));
        return SendAsync(frame);
    }

    /// <summary>The next frame; null at the end of the connection, orderly or not.</summary>
    public async Task<(YamuxHeader Header, byte[] Payload)?> ReadAsync()
    {
        while (true)
        {
            byte[]? bytes = await ReadExactlyAsync(YamuxHeader.Size);
            if (bytes is null) return null;
            if (YamuxHeader.Read(bytes, out YamuxHeader header) is { } fault)
                throw new InvalidDataException($"the node under test sent a bad frame: {fault}");
            byte[]? payload = header.Type == FrameType.Data ? await ReadExactlyAsync((int)header.Length) : [];
            if (payload is null) return null;
            if (!AnswersPings || header.Type != FrameType.Ping || header.Flags != FrameFlags.Syn) return (header, payload);
            try
            {
                await SendAsync(FrameType.Ping, FrameFlags.Ack, 0, header.Length);
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                // the node under test has left; what it said before can still be read
            }
        }
    }

    /// <summary>The next frame, which must be this one.</summary>
    public async Task<byte[]> ExpectAsync(FrameType type, FrameFlags flags, uint stream, uint? length = null)
    {
        (YamuxHeader header, byte[] payload) = await ReadAsync()
            ?? throw new InvalidDataException($"the connection ended instead of {type}|{flags} on {stream}");
        if (header.Type != type || header.Flags != flags || header.StreamId != stream || (length is not null && header.Length != length))
            throw new InvalidDataException($"expected {type}|{flags} {stream} {length}, got {header}");
        return payload;
    }

    /// <summary>Reads until the node under test says goodbye, and returns the code; null if it ends without a word.</summary>
    public async Task<uint?> ReadGoAwayAsync()
    {
        while (true)
        {
            (YamuxHeader Header, byte[])? frame = await ReadAsync();
            if (frame is null) return null;
            if (frame.Value.Header.Type == FrameType.GoAway) return frame.Value.Header.Length;
        }
    }

    /// <summary>Ends the sending direction.</summary>
    public void Finish() => channel.CloseWrite();

    private async Task<byte[]?> ReadExactlyAsync(int count)
    {
        while (_pending.Length < count)
        {
            var buffer = new byte[64 << 10];
            int read;
            try
            {
                read = await channel.ReadAsync(buffer, default);
            }
            catch (IOException)
            {
                return null;
            }

            if (read == 0) return null;
            _pending = [.. _pending, .. buffer.AsSpan(0, read)];
        }

        byte[] result = _pending[..count];
        _pending = _pending[count..];
        return result;
    }
}
