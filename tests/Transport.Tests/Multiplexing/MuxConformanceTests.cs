using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transport.Multiplexing;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>
/// What every <see cref="IMuxedConnection"/> must do, whatever it runs over: streams, their ends, and their independence of each other.
/// Subclasses say how two connected ends come about.
/// </summary>
public abstract partial class MuxConformanceTests : IAsyncLifetime
{
    // Turns a hang into a failure: both ends are aborted, so every wait ends.
    private readonly CancellationTokenSource _watchdog = new(TimeSpan.FromSeconds(30));

    private IMuxedConnection? _dialer;
    private IMuxedConnection? _listener;

    private protected IMuxedConnection Dialer => _dialer!;

    private protected IMuxedConnection Listener => _listener!;

    /// <summary>Two started connections that are each other's remote side.</summary>
    private protected abstract ValueTask<(IMuxedConnection Dialer, IMuxedConnection Listener)> ConnectAsync();

    public async ValueTask InitializeAsync()
    {
        (_dialer, _listener) = await ConnectAsync();
        _watchdog.Token.Register(() =>
        {
            var reason = new TransportException(TransportError.Timeout, "the test hangs");
            Dialer.Abort(reason);
            Listener.Abort(reason);
        });
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Dialer.DisposeAsync().AsTask(), Listener.DisposeAsync().AsTask());
        Assert.False(_watchdog.IsCancellationRequested, "the test hung until its connections were aborted");
        _watchdog.Dispose();
        await OnClosedAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Checks what must hold once both connections are closed.</summary>
    private protected virtual ValueTask OnClosedAsync() => default;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Either_side_opens_streams_and_both_talk(bool fromDialer)
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync(fromDialer);
        Assert.Equal(near.Id, far.Id);
        Assert.False(near.IsRemote);
        Assert.True(far.IsRemote);
        Assert.Equal(fromDialer ? 1 : 2, near.Id);

        await near.Output.WriteAsync("question"u8.ToArray());
        Assert.Equal("question"u8.ToArray(), await far.Input.ReadAsync(8));
        await far.Output.WriteAsync("answer"u8.ToArray());
        Assert.Equal("answer"u8.ToArray(), await near.Input.ReadAsync(6));
    }

    [Fact]
    public async Task Stream_numbers_tell_the_sides_apart_and_grow()
    {
        for (int i = 0; i < 5; i++)
        {
            (IMuxedStream odd, _) = await OpenAsync(fromDialer: true);
            (IMuxedStream even, _) = await OpenAsync(fromDialer: false);
            Assert.Equal(1 + 2 * i, odd.Id);
            Assert.Equal(2 + 2 * i, even.Id);
        }
    }

    [Fact]
    public async Task Each_direction_ends_by_itself()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await near.Output.WriteAsync(new byte[100]);
        near.Output.Complete();
        Assert.Equal(100, (await far.Input.ReadToEndAsync()).Length);

        // The other direction still works, and for as long as it likes.
        for (int i = 0; i < 10; i++)
        {
            await far.Output.WriteAsync(new byte[100_000]);
            Assert.Equal(100_000, (await near.Input.ReadAsync(100_000)).Length);
        }

        far.Output.Complete();
        Assert.Empty(await near.Input.ReadToEndAsync());
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task The_end_follows_everything_written_before_it()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        byte[] message = StreamReading.Pattern(3_000_000, 1);
        Task writing = Task.Run(async () =>
        {
            await near.Output.WriteAsync(message.AsMemory(0, 2_000_000));
            near.Output.Write(message.AsSpan(2_000_000)); // gathered, sent by the completion
            near.Output.Complete();
        });
        Assert.Equal(message, await far.Input.ReadToEndAsync());
        await writing;
    }

    [Fact]
    public async Task A_stream_may_open_and_end_without_a_byte()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        near.Output.Complete();
        far.Output.Complete();
        Assert.Empty(await far.Input.ReadToEndAsync());
        Assert.Empty(await near.Input.ReadToEndAsync());
        await EventuallyNoStreams();
    }

    [Theory]
    [InlineData(1, 5_000_000)]
    [InlineData(50, 300_000)]
    [InlineData(250, 20_000)]
    public async Task Concurrent_streams_keep_their_bytes_apart(int streams, int maxSize)
    {
        Task echoing = EchoAsync(Listener, streams);
        await Task.WhenAll(Enumerable.Range(0, streams).Select(async i =>
        {
            var random = new Random(i);
            await using IMuxedStream stream = await Dialer.OpenStreamAsync(default);
            byte[] message = StreamReading.Pattern(random.Next(1, maxSize), i);
            Task writing = Task.Run(async () =>
            {
                for (int sent = 0; sent < message.Length;)
                {
                    int count = Math.Min(message.Length - sent, random.Next(1, 200_000));
                    if (random.Next(2) == 0)
                    {
                        stream.Output.Write(message.AsSpan(sent, count));
                        await stream.Output.FlushAsync();
                    }
                    else
                    {
                        await stream.Output.WriteAsync(message.AsMemory(sent, count));
                    }

                    sent += count;
                }

                stream.Output.Complete();
            });
            Assert.Equal(message, await stream.Input.ReadToEndAsync());
            await writing;
        }));
        await echoing;
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task Both_sides_open_storms_of_streams_at_once()
    {
        const int Streams = 400; // more than either side leaves unacknowledged
        Task serving = Task.WhenAll(EchoAsync(Listener, Streams), EchoAsync(Dialer, Streams));
        await Task.WhenAll(new[] { Dialer, Listener }.SelectMany(side => Enumerable.Range(0, Streams).Select(i => Task.Run(async () =>
        {
            await using IMuxedStream stream = await side.OpenStreamAsync(default);
            byte[] message = BitConverter.GetBytes(i);
            await stream.Output.WriteAsync(message);
            stream.Output.Complete();
            Assert.Equal(message, await stream.Input.ReadToEndAsync());
        }))));
        await serving;
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task Thousands_of_streams_one_after_the_other_leave_nothing_behind()
    {
        const int Streams = 10_000;
        Task serving = EchoAsync(Listener, Streams);
        var message = new byte[10];
        for (int i = 0; i < Streams; i++)
        {
            await using IMuxedStream stream = await Dialer.OpenStreamAsync(default);
            await stream.Output.WriteAsync(message);
            stream.Output.Complete();
            Assert.Equal(10, (await stream.Input.ReadToEndAsync()).Length);
        }

        await serving;
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_reader_that_stalls_stalls_only_its_own_stream()
    {
        (IMuxedStream stalled, IMuxedStream unread) = await OpenAsync();
        ValueTask<FlushResult> stuck = stalled.Output.WriteAsync(new byte[4_000_000]); // far beyond the window

        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        Task writing = WriteAsync(near, 4_000_000);
        Assert.Equal(4_000_000, (await far.Input.ReadToEndAsync()).Length);
        await writing;

        Assert.False(stuck.IsCompleted);
        Assert.Equal(4_000_000, (await unread.Input.ReadAsync(4_000_000)).Length);
        await stuck;
    }

    [Fact]
    public async Task A_widened_window_lets_the_sender_run_ahead_of_a_reader_that_does_not_read()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        far.WidenWindow(2_000_000);
        await near.Output.WriteAsync(new byte[2_000_000]); // would wait for the reader beyond the first window
        far.WidenWindow(1_000); // never shrinks
        Assert.Equal(2_000_000, (await far.Input.ReadAsync(2_000_000)).Length);
    }

    [Fact]
    public async Task Reading_byte_by_byte_keeps_the_credit_flowing()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        near.Output.Complete(); // credit must flow even when its direction has nothing else to say
        Task writing = WriteAsync(far, 700_000);
        var random = new Random(3);
        int total = 0;
        while (true)
        {
            ReadResult result = await near.Input.ReadAsync();
            if (result.Buffer.IsEmpty && result.IsCompleted) break;
            long step = Math.Min(result.Buffer.Length, random.Next(1, 5000));
            near.Input.AdvanceTo(result.Buffer.GetPosition(step));
            total += (int)step;
        }

        Assert.Equal(700_000, total);
        await writing;
    }

    private protected async Task<(IMuxedStream Near, IMuxedStream Far)> OpenAsync(bool fromDialer = true)
    {
        (IMuxedConnection from, IMuxedConnection to) = fromDialer ? (Dialer, Listener) : (Listener, Dialer);
        IMuxedStream near = await from.OpenStreamAsync(default);
        IMuxedStream? far = await to.AcceptStreamAsync(default);
        return (near, far!);
    }

    /// <summary>Waits until both sides have forgotten every stream; the watchdog bounds it.</summary>
    private protected async Task EventuallyNoStreams()
    {
        while (Dialer.StreamCount + Listener.StreamCount > 0) await Task.Delay(1);
    }

    private static async Task WriteAsync(IMuxedStream stream, int count)
    {
        await stream.Output.WriteAsync(new byte[count]);
        stream.Output.Complete();
    }

    /// <summary>Accepts streams and sends back what comes.</summary>
    private static async Task EchoAsync(IMuxedConnection connection, int streams)
    {
        var serving = new List<Task>();
        for (int i = 0; i < streams; i++)
        {
            IMuxedStream? stream = await connection.AcceptStreamAsync(default);
            serving.Add(Task.Run(async () =>
            {
                await using IMuxedStream accepted = stream!;
                while (true)
                {
                    ReadResult result = await accepted.Input.ReadAsync();
                    foreach (ReadOnlyMemory<byte> segment in result.Buffer) await accepted.Output.WriteAsync(segment);
                    accepted.Input.AdvanceTo(result.Buffer.End);
                    if (result.IsCompleted) break;
                }

                accepted.Output.Complete();
            }));
        }

        await Task.WhenAll(serving);
    }
}
