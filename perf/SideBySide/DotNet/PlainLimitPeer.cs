using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using System.Net;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace FastShare.SideBySide.DotNet;

/// <summary>
/// As <see cref="LimitPeer"/>, without a cipher: blocking sends and receives of 1 MiB on a bare socket, with files also reading, XXH128 and
/// writing. What a program of .NET that gives every byte to a socket can reach on this machine at best.
/// </summary>
internal static class PlainLimitPeer
{
    private const int Chunk = Peers.BufferLength;

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
        LimitPeer.LeavePacing(socket);
        using SafeFileHandle? file = source is null ? null : File.OpenHandle(source);
        byte[] chunk = GC.AllocateUninitializedArray<byte>(Chunk, pinned: true);
        if (file is null) new Random(7).NextBytes(chunk);
        long start = Stopwatch.GetTimestamp();
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(length, bytes);
        LimitPeer.SendAll(socket, length);
        for (long sent = 0; sent < bytes;)
        {
            Span<byte> data = chunk.AsSpan(0, (int)Math.Min(Chunk, bytes - sent));
            if (file is not null) LimitPeer.Fill(file, data, sent);
            LimitPeer.SendAll(socket, data);
            sent += data.Length;
        }

        if (socket.Receive(length[..1]) != 1) throw new InvalidOperationException("the receiver did not say that it has everything");
        return Stopwatch.GetElapsedTime(start);
    }

    private static void Take(Socket socket, string? destination)
    {
        using SafeFileHandle? file = destination is null ? null : File.OpenHandle(destination, FileMode.Create, FileAccess.Write);
        byte[] chunk = GC.AllocateUninitializedArray<byte>(Chunk, pinned: true);
        var digest = new XxHash128();
        ReceiveAll(socket, chunk.AsSpan(0, 8));
        long bytes = BinaryPrimitives.ReadInt64BigEndian(chunk);
        for (long received = 0; received < bytes;)
        {
            Span<byte> data = chunk.AsSpan(0, (int)Math.Min(Chunk, bytes - received));
            if (file is null)
            {
                int count = socket.Receive(data);
                if (count == 0) throw new InvalidOperationException("the sender ended early");
                received += count;
                continue;
            }

            ReceiveAll(socket, data);
            digest.Append(data);
            RandomAccess.Write(file, data, received);
            received += data.Length;
        }

        if (file is not null) RandomAccess.FlushToDisk(file);
        LimitPeer.SendAll(socket, chunk.AsSpan(0, 1));
    }

    private static void ReceiveAll(Socket socket, Span<byte> data)
    {
        while (!data.IsEmpty)
        {
            int count = socket.Receive(data);
            if (count == 0) throw new InvalidOperationException("the sender ended early");
            data = data[count..];
        }
    }
}
