using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Hashing;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using NSec.Cryptography;

namespace FastShare.SideBySide.DotNet;

/// <summary>
/// As <see cref="LimitPeer"/> for a tree of small files, on Linux. Sender: list, and of each file open, read, look at, close, XXH128, AEGIS-128L,
/// many files to a record and a blocking send. Receiver: receive, open the record, hand it to one of two writers, which check the hash, create
/// under a temporary name, write, set the time, close, and every 256 files sync the file system, rename, and sync the folders: what it takes
/// that no final name is ever seen without its content. No names are checked, no file is looked for, nothing is told of a single file.
/// </summary>
internal static class SmallLimitPeer
{
    private const int Record = 65535, Batch = 256, Writers = 2, Head = 2 + 8 + 4 + 4 + 16;

    private static readonly AeadAlgorithm _cipher = AeadAlgorithm.Aegis128L;

    private static readonly byte[] _keyBytes = new byte[_cipher.KeySize]; // nothing secret is sent

    public static void Listen(string destination)
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

    /// <summary>Sends the files of all folders in a folder.</summary>
    public static TimeSpan Send(int port, string source)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        using Key key = Key.Import(_cipher, _keyBytes, KeyBlobFormat.RawSymmetricKey);
        byte[] plain = new byte[Record], wire = new byte[2 + Record], nonce = new byte[_cipher.NonceSize];
        long start = Stopwatch.GetTimestamp(), records = 0;
        int filled = 0, most = Record - _cipher.TagSize;
        foreach (string folder in Directory.EnumerateDirectories(source))
        {
            int at = SmallCalls.OpenFolder(folder);
            string prefix = Path.GetFileName(folder) + "/";
            foreach (string path in Directory.EnumerateFiles(folder))
            {
                string name = Path.GetFileName(path);
                int length = Encoding.UTF8.GetByteCount(prefix) + Encoding.UTF8.GetByteCount(name);
                while (true)
                {
                    Span<byte> room = plain.AsSpan(filled, most - filled);
                    if (room.Length > Head + length
                        && SmallCalls.ReadFile(at, name, room[(Head + length)..], out int size, out long modified, out int mode))
                    {
                        BinaryPrimitives.WriteUInt16BigEndian(room, (ushort)length);
                        BinaryPrimitives.WriteInt64BigEndian(room[2..], modified);
                        BinaryPrimitives.WriteInt32BigEndian(room[10..], mode);
                        BinaryPrimitives.WriteInt32BigEndian(room[14..], size);
                        BinaryPrimitives.WriteUInt128BigEndian(room[18..], XxHash128.HashToUInt128(room.Slice(Head + length, size)));
                        Encoding.UTF8.GetBytes(name, room[(Head + Encoding.UTF8.GetBytes(prefix, room[Head..]))..]);
                        filled += Head + length + size;
                        break;
                    }

                    if (filled == 0) throw new InvalidOperationException($"{path} is not small");
                    SendRecord();
                }
            }

            SmallCalls.Close(at);
        }

        if (filled > 0) SendRecord();
        SendRecord(); // an empty one is the end
        if (socket.Receive(wire, 0, 1, SocketFlags.None) != 1) throw new InvalidOperationException("the receiver did not say that it has everything");
        return Stopwatch.GetElapsedTime(start);

        void SendRecord()
        {
            BinaryPrimitives.WriteUInt16BigEndian(wire, (ushort)(filled + _cipher.TagSize));
            BinaryPrimitives.WriteInt64BigEndian(nonce.AsSpan(nonce.Length - 8), records++);
            _cipher.Encrypt(key, nonce, [], plain.AsSpan(0, filled), wire.AsSpan(2, filled + _cipher.TagSize));
            LimitPeer.SendAll(socket, wire.AsSpan(0, 2 + filled + _cipher.TagSize));
            filled = 0;
        }
    }

    private static void Take(Socket socket, string destination)
    {
        using Key key = Key.Import(_cipher, _keyBytes, KeyBlobFormat.RawSymmetricKey);
        var opened = Channel.CreateBounded<(byte[] Buffer, int Length)>(32);
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(number => Task.Factory.StartNew(
            () => Write(opened.Reader, destination, number), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        byte[] wire = new byte[4 * Record], nonce = new byte[_cipher.NonceSize];
        int have = 0, at = 0;
        for (long record = 0; ; record++)
        {
            ReceiveAtLeast(2);
            int length = BinaryPrimitives.ReadUInt16BigEndian(wire.AsSpan(at));
            ReceiveAtLeast(2 + length);
            byte[] plain = ArrayPool<byte>.Shared.Rent(Record);
            BinaryPrimitives.WriteInt64BigEndian(nonce.AsSpan(nonce.Length - 8), record);
            if (!_cipher.Decrypt(key, nonce, [], wire.AsSpan(at + 2, length), plain.AsSpan(0, length - _cipher.TagSize)))
                throw new InvalidOperationException("a record was changed");
            at += 2 + length;
            if (length == _cipher.TagSize) break;
            while (!opened.Writer.TryWrite((plain, length - _cipher.TagSize)))
                opened.Writer.WaitToWriteAsync().AsTask().GetAwaiter().GetResult();
        }

        opened.Writer.Complete();
        Task.WaitAll(writers);
        LimitPeer.SendAll(socket, wire.AsSpan(0, 1));

        void ReceiveAtLeast(int count)
        {
            if (have - at >= count) return;
            wire.AsSpan(at, have - at).CopyTo(wire);
            (have, at) = (have - at, 0);
            while (have < count)
            {
                int received = socket.Receive(wire, have, wire.Length - have, SocketFlags.None);
                if (received == 0) throw new InvalidOperationException("the sender ended early");
                have += received;
            }
        }
    }

    private static void Write(ChannelReader<(byte[] Buffer, int Length)> records, string destination, int number)
    {
        string staging = Path.Combine(destination, $".staging-{number}");
        Directory.CreateDirectory(staging);
        int stagingAt = SmallCalls.OpenFolder(staging), serial = 0;
        var pending = new List<(string Staged, string Folder, string Name)>(Batch);
        while (records.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (records.TryRead(out (byte[] Buffer, int Length) record))
            {
                for (ReadOnlySpan<byte> rest = record.Buffer.AsSpan(0, record.Length); !rest.IsEmpty;) rest = rest[Store(rest)..];
                ArrayPool<byte>.Shared.Return(record.Buffer);
            }
        }

        Publish();
        SmallCalls.Close(stagingAt);
        Directory.Delete(staging);

        int Store(ReadOnlySpan<byte> file)
        {
            int length = BinaryPrimitives.ReadUInt16BigEndian(file), size = BinaryPrimitives.ReadInt32BigEndian(file[14..]);
            ReadOnlySpan<byte> path = file.Slice(Head, length), content = file.Slice(Head + length, size);
            if (XxHash128.HashToUInt128(content) != BinaryPrimitives.ReadUInt128BigEndian(file[18..]))
                throw new InvalidOperationException("a file was changed");
            string staged = $"{serial++:x8}";
            SmallCalls.WriteFile(
                stagingAt, staged, content, BinaryPrimitives.ReadInt32BigEndian(file[10..]), BinaryPrimitives.ReadInt64BigEndian(file[2..]));
            int slash = path.IndexOf((byte)'/');
            pending.Add((staged, Encoding.UTF8.GetString(path[..slash]), Encoding.UTF8.GetString(path[(slash + 1)..])));
            if (pending.Count == Batch) Publish();
            return Head + length + size;
        }

        void Publish()
        {
            if (pending.Count == 0) return;
            SmallCalls.SyncFileSystem(stagingAt);
            foreach (IGrouping<string, (string Staged, string Folder, string Name)> files in pending.GroupBy(file => file.Folder))
            {
                string folder = Path.Combine(destination, files.Key);
                Directory.CreateDirectory(folder);
                int at = SmallCalls.OpenFolder(folder);
                foreach ((string staged, _, string name) in files) SmallCalls.Rename(stagingAt, staged, at, name);
                SmallCalls.Sync(at);
                SmallCalls.Close(at);
            }

            pending.Clear();
        }
    }
}
