using FastShare.Testing.Multiplexing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Random frames, likely and unlikely ones: typed errors only, nothing hangs, no block is lost.</summary>
public sealed class YamuxFuzzTests
{
    private const int Connections = 250;
    private const int FramesEach = 200;

    [Fact]
    public async Task Random_frames_lead_to_typed_ends_only()
    {
        var pool = new BlockPool { PoisonOnReturn = true };
        var options = new YamuxOptions { Pool = pool, GoodbyeTimeout = TimeSpan.FromMilliseconds(50) };
        for (int seed = 0; seed < Connections; seed++)
        {
            var random = new Random(seed);
            (MemoryByteChannel near, MemoryByteChannel far) = MemoryByteChannel.CreatePair(checkChanges: false);
            var connection = new YamuxConnection(near, ConnectionRole.Listener, options, TimeProvider.System, NullLogger.Instance);
            connection.Start();
            Task draining = DrainAsync(far);
            Task serving = ServeAsync(connection, seed);
            try
            {
                for (int i = 0; i < FramesEach; i++)
                {
                    far.Write(Frame(random, hostile: i > FramesEach / 2));
                    await far.FlushAsync(default);
                }
            }
            catch (Exception e) when (e is TransportException or InvalidOperationException)
            {
                // the node has hung up
            }

            far.CloseWrite();
            TransportException? reason = await connection.Closed;
            Assert.True(
                reason?.Error is null or TransportError.ProtocolViolation or TransportError.ConnectionClosed or TransportError.ConnectionReset,
                $"seed {seed}: {reason}");
            await serving;
            await draining;
            await connection.DisposeAsync();
            Assert.True(connection.Buffers.Used == 0, $"seed {seed}: {connection.Buffers.Used} bytes are still charged");
            Assert.Equal(0, connection.WindowGrowth.Used);
        }

        Assert.Equal(0, pool.RentedBlocks);
    }

    private static byte[] Frame(Random random, bool hostile)
    {
        if (hostile && random.Next(20) == 0)
        {
            var noise = new byte[random.Next(1, 40)];
            random.NextBytes(noise);
            return noise;
        }

        var type = (FrameType)(random.Next(20) == 0 ? 2 + random.Next(hostile ? 2 : 1) : random.Next(2));
        uint id = type >= FrameType.Ping ? 0 : 1 + 2 * (uint)random.Next(12);
        var flags = (FrameFlags)(random.Next(3) == 0 ? 1 << random.Next(4) : 0);
        if (type == FrameType.Ping) flags = random.Next(2) == 0 ? FrameFlags.Syn : FrameFlags.Ack;
        if (hostile && random.Next(30) == 0) flags = (FrameFlags)random.Next(32);
        if (hostile && random.Next(30) == 0) id = (uint)random.Next();
        int payload = type == FrameType.Data ? random.Next(random.Next(5) == 0 ? 20_000 : 100) : 0;
        var frame = new byte[YamuxHeader.Size + payload];
        uint value = hostile && random.Next(10) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)random.Next(1000);
        new YamuxHeader(type, flags, id, type == FrameType.Data ? (uint)payload : value).Write(frame);
        return frame;
    }

    private static async Task DrainAsync(MemoryByteChannel channel)
    {
        var buffer = new byte[100_000];
        try
        {
            while (await channel.ReadAsync(buffer, default) > 0) continue;
        }
        catch (TransportException)
        {
            // hung up
        }
    }

    /// <summary>An application with all its moods: reads a little, writes a little, leaves early, resets, forgets to read.</summary>
    private static async Task ServeAsync(YamuxConnection connection, int seed)
    {
        var handlers = new List<Task>();
        while (await connection.AcceptStreamAsync(default) is { } stream)
        {
            var random = new Random(HashCode.Combine(seed, stream.Id));
            handlers.Add(Task.Run(async () =>
            {
                await using (stream)
                {
                    try
                    {
                        for (int i = random.Next(6); i > 0; i--)
                        {
                            var read = await stream.Input.ReadAsync();
                            stream.Input.AdvanceTo(read.Buffer.GetPosition(random.NextInt64(read.Buffer.Length + 1)), read.Buffer.End);
                            if (random.Next(2) == 0) await stream.Output.WriteAsync(new byte[random.Next(5000)]);
                            if (random.Next(10) == 0) stream.Reset();
                            if (read.IsCompleted) break;
                        }

                        if (random.Next(2) == 0) stream.Input.Complete();
                        if (random.Next(2) == 0) stream.Output.Complete();
                    }
                    catch (TransportException)
                    {
                        // reset or closed, as it should be told
                    }
                }
            }));
        }

        await Task.WhenAll(handlers);
    }
}
