using System.Buffers;
using System.IO.Pipelines;
using FastShare.Testing.Multiplexing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Runs alone, because it measures what the whole process allocates.</summary>
[CollectionDefinition(nameof(YamuxMemoryTests), DisableParallelization = true)]
[Collection(nameof(YamuxMemoryTests))]
public sealed class YamuxMemoryTests
{
    [Theory]
    [InlineData(100, false)]
    [InlineData(100, true)]
    [InlineData(60_000, false)]
    [InlineData(200_000, false)]
    public async Task Frames_allocate_nothing_in_steady_state(int size, bool gathered)
    {
        const int Rounds = 2000;
        await using var pair = new Pair(new BlockPool());
        (IMuxedStream near, IMuxedStream far) = await pair.OpenAsync();
        var message = new byte[size];
        await MoveAsync(near, far, message, gathered, 1000);
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 5; attempt++) // the runtime allocates now and then for its own purposes
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            await MoveAsync(near, far, message, gathered, Rounds);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.True(least / Rounds < 16, $"{(double)least / Rounds:0.0} bytes were allocated per message");
    }

    [Fact]
    public async Task Every_block_comes_home()
    {
        var pool = new BlockPool { PoisonOnReturn = true };
        await using (var pair = new Pair(pool))
        {
            for (int i = 0; i < 50; i++)
            {
                (IMuxedStream near, IMuxedStream far) = await pair.OpenAsync();
                near.Output.Write(new byte[100_000]);
                await near.Output.FlushAsync();
                near.Output.Write(new byte[10_000]); // never flushed by some
                await far.Input.ReadAsync(50_000);
                switch (i % 5)
                {
                    case 0:
                        near.Output.Complete();
                        break;
                    case 1:
                        near.Reset();
                        break;
                    case 2:
                        far.Reset();
                        break;
                    case 3:
                        far.Input.Complete();
                        break;
                }

                await near.DisposeAsync();
                await far.DisposeAsync();
            }

            for (int i = 0; i < 3; i++)
            {
                (IMuxedStream near, _) = await pair.OpenAsync();
                await near.Output.WriteAsync(new byte[1000]);
                near.Output.Complete(); // left to the end of the connection, yet its application side is complete
                near.Input.Complete();
            }

            IMuxedStream unaccepted = await pair.Dialer.OpenStreamAsync(default);
            await unaccepted.Output.WriteAsync(new byte[1000]);
            await unaccepted.DisposeAsync();
            foreach (IMuxedStream stream in pair.Accepted) await stream.DisposeAsync();
        }

        Assert.Equal(0, pool.RentedBlocks);
    }

    [Fact]
    public async Task An_idle_stream_holds_no_block()
    {
        var pool = new BlockPool();
        await using var pair = new Pair(pool);
        (IMuxedStream near, IMuxedStream far) = await pair.OpenAsync();
        await MoveAsync(near, far, new byte[100_000], gathered: true, 10);
        Assert.Equal(0, pool.RentedBlocks);
    }

    private static async Task MoveAsync(IMuxedStream near, IMuxedStream far, byte[] message, bool gathered, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            ValueTask<FlushResult> writing;
            if (gathered)
            {
                near.Output.Write(message);
                writing = near.Output.FlushAsync();
            }
            else
            {
                writing = near.Output.WriteAsync(message);
            }

            for (long left = message.Length; left > 0;)
            {
                ReadResult result = await far.Input.ReadAsync();
                left -= result.Buffer.Length;
                far.Input.AdvanceTo(result.Buffer.End);
            }

            await writing;
        }
    }

    private sealed class Pair : IAsyncDisposable
    {
        private readonly YamuxConnection _listener;

        public Pair(BlockPool pool)
        {
            (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair();
            var options = new YamuxOptions { Pool = pool };
            Dialer = new YamuxConnection(left, ConnectionRole.Dialer, options, TimeProvider.System, NullLogger.Instance);
            _listener = new YamuxConnection(right, ConnectionRole.Listener, options, TimeProvider.System, NullLogger.Instance);
            Dialer.Start();
            _listener.Start();
        }

        public YamuxConnection Dialer { get; }

        public List<IMuxedStream> Accepted { get; } = [];

        public async Task<(IMuxedStream Near, IMuxedStream Far)> OpenAsync()
        {
            IMuxedStream near = await Dialer.OpenStreamAsync(default);
            Accepted.Add((await _listener.AcceptStreamAsync(default))!);
            return (near, Accepted[^1]);
        }

        public async ValueTask DisposeAsync()
        {
            await Dialer.DisposeAsync();
            await _listener.DisposeAsync();
        }
    }
}
