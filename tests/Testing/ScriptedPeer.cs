using FastShare.Transport.Sockets;

namespace FastShare.Testing;

/// <summary>The other end of a connection, acted by the test: send these bytes, expect those.</summary>
public sealed class ScriptedPeer(IDuplexConnection connection)
{
    /// <summary>Sends bytes given in hexadecimal; spaces are ignored.</summary>
    public Task SendHexAsync(string hex) => SendAsync(FromHex(hex));

    /// <summary>Sends bytes.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> bytes) => await connection.SendAsync(bytes, CancellationToken.None);

    /// <summary>Receives exactly as many bytes as <paramref name="hex"/> stands for and fails unless they are those.</summary>
    public async Task ExpectHexAsync(string hex)
    {
        byte[] expected = FromHex(hex);
        byte[] actual = await ReceiveAsync(expected.Length);
        if (!actual.AsSpan().SequenceEqual(expected))
            throw new InvalidOperationException($"expected {Convert.ToHexStringLower(expected)}, got {Convert.ToHexStringLower(actual)}");
    }

    /// <summary>Receives exactly <paramref name="count"/> bytes.</summary>
    public async Task<byte[]> ReceiveAsync(int count)
    {
        byte[] bytes = new byte[count];
        for (int have = 0; have < count;)
        {
            int received = await connection.ReceiveAsync(bytes.AsMemory(have), CancellationToken.None);
            if (received == 0) throw new InvalidOperationException($"expected {count} bytes, the connection ended after {have}");
            have += received;
        }

        return bytes;
    }

    /// <summary>Ends the sending direction.</summary>
    public void CloseWrite() => connection.CloseWrite();

    /// <summary>Bytes from hexadecimal; spaces are ignored.</summary>
    public static byte[] FromHex(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
}
