using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Text.Json;

namespace FastShare.SideBySide.DotNet;

/// <summary>
/// As <see cref="LimitPeer"/> from memory to memory, from one process to many receivers in another. Both have a thread for each processor with its
/// share of the sockets, which serves them in turn, one batch each, sleeps when none is ready, and has as few buffers as hold something. What 64
/// receivers can have of one receiver's rate on this machine at best, as long as none waits for another to be done.
/// </summary>
internal static class ManyLimitPeer
{
    private const long WarmUp = 1 << 20; // bytes of each receiver

    // What waits in the kernel is to stay in the cache: 64 sockets with as much as each may hold cost a sixth more. In bytes.
    private const int CrowdedReceiveBuffer = 512 << 10;

    /// <summary>Serves one crowd after the other: the first socket tells how many they are, then every socket how much it wants, over and over.</summary>
    public static void Listen()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start(backlog: 256);
        Peers.Ready(((IPEndPoint)listener.LocalEndpoint).Port);
        while (true)
        {
            Socket first = listener.AcceptSocket();
            List<Socket> crowd = [first];
            if (TryReadNumber(first, out long count))
            {
                while (crowd.Count < count) crowd.Add(listener.AcceptSocket());
                crowd.ForEach(LimitPeer.LeavePacing);
                while (TryReadNumber(first, out long bytes)) ServeInTurn([.. crowd.Select(socket => new ManyLimitSender(socket, bytes))]);
            }

            crowd.ForEach(socket => socket.Dispose());
            Peers.Served();
        }
    }

    /// <summary>
    /// Fetches so many bytes over each of so many sockets, all of which are connected and have moved something before. Returns a line of JSON
    /// like perf/Load: seconds until all were done and until each was, and how much each had when the first was done.
    /// </summary>
    public static string Receive(int port, int count, long bytes)
    {
        Socket[] crowd = [.. Enumerable.Range(0, count).Select(_ => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true })];
        try
        {
            foreach (Socket socket in crowd)
            {
                if (count > Environment.ProcessorCount) socket.ReceiveBufferSize = CrowdedReceiveBuffer;
                socket.Connect(IPAddress.Loopback, port);
            }

            WriteNumber(crowd[0], count);
            Fetch(WarmUp, null);
            double[] each = new double[count];
            long[]? whenFirstDone = null; // set once, interlocked
            long begun = Stopwatch.GetTimestamp();
            Fetch(bytes, (receivers, which) =>
            {
                each[which] = Stopwatch.GetElapsedTime(begun).TotalSeconds;
                if (Volatile.Read(ref whenFirstDone) is null)
                    Interlocked.CompareExchange(ref whenFirstDone, [.. receivers.Select(receiver => receiver.Received)], null);
            });
            return JsonSerializer.Serialize(new { seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds, each, whenFirstDone });
        }
        finally
        {
            foreach (Socket socket in crowd) socket.Dispose();
        }

        void Fetch(long wanted, Action<ManyLimitReceiver[], int>? done)
        {
            ManyLimitReceiver[] receivers = [];
            receivers = [.. crowd.Select((socket, i) => new ManyLimitReceiver(socket, wanted, () => done?.Invoke(receivers, i)))];
            WriteNumber(crowd[0], wanted); // the last word: the sender begins with all of them
            ServeInTurn(receivers);
        }
    }

    private static void ServeInTurn(IReadOnlyList<IManyLimitSocket> all)
    {
        ExceptionDispatchInfo? failure = null; // any of them
        int count = Math.Min(Environment.ProcessorCount, all.Count);
        Thread[] threads = [.. Enumerable.Range(0, count).Select(which => new Thread(() =>
        {
            try
            {
                Serve([.. all.Where((_, i) => i % count == which)]);
            }
            catch (Exception e) when (e is SocketException or InvalidOperationException)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        failure?.Throw();
    }

    private static void Serve(List<IManyLimitSocket> mine)
    {
        var free = new Stack<byte[]>(); // the one used last first, as it is in the cache
        var waiting = new List<Socket>();
        foreach (IManyLimitSocket one in mine) one.Socket.Blocking = mine.Count == 1; // with no other to serve, waiting in the call is cheapest
        while (mine.Count > 0)
        {
            bool moved = false;
            for (int i = mine.Count - 1; i >= 0; i--)
            {
                moved |= mine[i].TryAdvance(free);
                if (!mine[i].IsDone) continue;
                mine[i].Socket.Blocking = true;
                mine.RemoveAt(i);
            }

            if (moved) continue;
            waiting.Clear();
            waiting.AddRange(mine.Select(one => one.Socket));
            if (mine[0].IsSender) Socket.Select(null, waiting, null, Timeout.InfiniteTimeSpan);
            else Socket.Select(waiting, null, null, Timeout.InfiniteTimeSpan);
        }
    }

    private static void WriteNumber(Socket socket, long number)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, number);
        LimitPeer.SendAll(socket, bytes);
    }

    // False: the other side has ended, or is gone.
    private static bool TryReadNumber(Socket socket, out long number)
    {
        Span<byte> bytes = stackalloc byte[8];
        number = 0;
        for (int have = 0; have < bytes.Length;)
        {
            int count = socket.Receive(bytes[have..], SocketFlags.None, out SocketError error);
            if (count == 0 || error != SocketError.Success) return false;
            have += count;
        }

        number = BinaryPrimitives.ReadInt64BigEndian(bytes);
        return true;
    }
}
