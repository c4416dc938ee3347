using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using System.Net;
using System.Net.Sockets;
using NSec.Cryptography;

namespace FastShare.SideBySide.DotNet;

/// <summary>
/// The unavoidable work and nothing else: Noise's largest messages (65535 bytes) sealed with libsodium's AEGIS-128L, the fastest cipher that
/// FastShare agrees on, into one buffer, four to a blocking send; a blocking receive, opened in place. With files also reading, and XXH128 and writing. No handshake, no multiplexer, no
/// flow control, no names: what a Noise implementation in .NET could reach on this machine at best.
/// </summary>
internal static class LimitPeer
{
    /// <summary>Lengths of a record's parts and of the whole, in bytes, and records to a send.</summary>
    internal const int Tag = 32, Prefix = 2, Payload = 65535 - Tag, Record = Prefix + Payload + Tag, Batch = 4;

    private const int Chunk = 1 << 20;

    private static readonly AeadAlgorithm _cipher = AeadAlgorithm.Aegis128L;

    private static readonly byte[] _keyBytes = new byte[_cipher.KeySize]; // nothing secret is sent

    public static void Listen(string? destination)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Peers.Ready(((IPEndPoint)listener.LocalEndpoint).Port);
        while (true)
        {
            using Socket socket = listener.AcceptSocket();
            socket.NoDelay = true;
            Take(socket, destination);
            Peers.Served();
        }
    }

    public static TimeSpan Send(int port, long bytes, string? source)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        LeavePacing(socket);
        using Microsoft.Win32.SafeHandles.SafeFileHandle? file = source is null ? null : File.OpenHandle(source);
        using Key key = NewKey();
        byte[] plain = new byte[Chunk], wire = new byte[Batch * Record], nonce = NewNonce();
        if (file is null) new Random(7).NextBytes(plain);
        long start = Stopwatch.GetTimestamp(), sealedBytes = 0;
        BinaryPrimitives.WriteInt64BigEndian(wire, bytes);
        SendAll(socket, wire.AsSpan(0, 8));
        for (ulong record = 0; sealedBytes < bytes;)
        {
            int filled = 0;
            // Files are read a chunk at a time in reality; record by record reads as much from the page cache.
            for (int i = 0; i < Batch && sealedBytes < bytes; i++)
            {
                int length = (int)Math.Min(Payload, bytes - sealedBytes);
                Span<byte> data = plain.AsSpan(0, length);
                if (file is not null) Fill(file, data, sealedBytes);
                filled += Seal(key, nonce, record++, data, wire.AsSpan(filled));
                sealedBytes += length;
            }

            SendAll(socket, wire.AsSpan(0, filled));
        }

        if (socket.Receive(wire, 0, 1, SocketFlags.None) != 1) throw new InvalidOperationException("the receiver did not say that it has everything");
        return Stopwatch.GetElapsedTime(start);
    }

    private static void Take(Socket socket, string? destination)
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle? file =
            destination is null ? null : File.OpenHandle(destination, FileMode.Create, FileAccess.Write);
        using Key key = NewKey();
        var digest = new XxHash128();
        byte[] wire = new byte[Chunk], chunk = new byte[Chunk + Payload], nonce = NewNonce();
        int have = 0, at = 0, gathered = 0;
        ReceiveAtLeast(8);
        long bytes = BinaryPrimitives.ReadInt64BigEndian(wire), opened = 0, written = 0;
        at = 8;
        for (ulong record = 0; opened < bytes;)
        {
            ReceiveAtLeast(Prefix);
            int length = BinaryPrimitives.ReadUInt16BigEndian(wire.AsSpan(at)) - Tag;
            ReceiveAtLeast(Prefix + length + Tag);
            Span<byte> message = wire.AsSpan(at + Prefix, length + Tag);
            Open(key, nonce, record++, message, file is null ? message[..length] : chunk.AsSpan(gathered, length));
            at += Prefix + length + Tag;
            opened += length;
            if (file is null) continue;
            gathered += length;
            if (gathered < Chunk && opened < bytes) continue;
            digest.Append(chunk.AsSpan(0, gathered));
            RandomAccess.Write(file, chunk.AsSpan(0, gathered), written);
            written += gathered;
            gathered = 0;
        }

        if (file is not null) RandomAccess.FlushToDisk(file);
        SendAll(socket, wire.AsSpan(0, 1));

        void ReceiveAtLeast(int count)
        {
            if (have - at >= count) return;
            if (at + count > wire.Length || at == have)
            {
                wire.AsSpan(at, have - at).CopyTo(wire);
                (have, at) = (have - at, 0);
            }

            while (have - at < count)
            {
                int received = socket.Receive(wire, have, wire.Length - have, SocketFlags.None);
                if (received == 0) throw new InvalidOperationException("the sender ended early");
                have += received;
            }
        }
    }

    /// <summary>Cubic instead of a system's BBR, as FastShare does nearby: a timer per burst of segments can be avoided.</summary>
    internal static void LeavePacing(Socket sender)
    {
        const int Tcp = 6, Congestion = 13; // netinet/in.h, linux/tcp.h
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            sender.SetRawSocketOption(Tcp, Congestion, "cubic"u8);
        }
        catch (SocketException)
        {
            // A kernel without it keeps what it has.
        }
    }

    /// <summary>The key of both sides.</summary>
    internal static Key NewKey() => Key.Import(_cipher, _keyBytes, KeyBlobFormat.RawSymmetricKey);

    /// <summary>Room for a record's number, which <see cref="Seal"/> and <see cref="Open"/> fill in.</summary>
    internal static byte[] NewNonce() => new byte[_cipher.NonceSize];

    /// <summary>Writes a whole record and returns its length.</summary>
    internal static int Seal(Key key, byte[] nonce, ulong record, ReadOnlySpan<byte> data, Span<byte> target)
    {
        BinaryPrimitives.WriteUInt16BigEndian(target, (ushort)(data.Length + Tag));
        BinaryPrimitives.WriteUInt64BigEndian(nonce.AsSpan(nonce.Length - 8), record);
        _cipher.Encrypt(key, nonce, [], data, target.Slice(Prefix, data.Length + Tag));
        return Prefix + data.Length + Tag;
    }

    /// <summary>Opens a record without its prefix; <paramref name="plain"/> may be where it lies.</summary>
    internal static void Open(Key key, byte[] nonce, ulong record, ReadOnlySpan<byte> message, Span<byte> plain)
    {
        BinaryPrimitives.WriteUInt64BigEndian(nonce.AsSpan(nonce.Length - 8), record);
        if (!_cipher.Decrypt(key, nonce, [], message, plain)) throw new InvalidOperationException("a record was changed");
    }

    /// <summary>Reads so much from an offset on.</summary>
    internal static void Fill(Microsoft.Win32.SafeHandles.SafeFileHandle file, Span<byte> data, long offset)
    {
        while (!data.IsEmpty)
        {
            int count = RandomAccess.Read(file, data, offset);
            if (count == 0) throw new InvalidOperationException("the source ended early");
            data = data[count..];
            offset += count;
        }
    }

    /// <summary>Sends all of it.</summary>
    internal static void SendAll(Socket socket, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty) data = data[socket.Send(data)..];
    }
}
