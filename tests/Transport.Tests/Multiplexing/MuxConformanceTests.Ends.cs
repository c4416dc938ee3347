using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transport.Multiplexing;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>How streams and connections end, and what that does to those who wait.</summary>
public abstract partial class MuxConformanceTests
{
    [Fact]
    public async Task A_reset_is_seen_after_the_bytes_before_it()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await near.Output.WriteAsync(new byte[1000]);
        near.Reset();
        ReadResult result;
        while (true)
        {
            result = await far.Input.ReadAsync();
            Assert.False(result.IsCompleted);
            if (result.Buffer.Length == 1000) break;
            far.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }

        far.Input.AdvanceTo(result.Buffer.End);
        await AssertFails(TransportError.StreamReset, async () => await far.Input.ReadAsync());
        await AssertFails(TransportError.StreamReset, async () => await WriteForever(far));
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_local_reset_ends_pending_reads_and_writes()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        Task reading = near.Input.ReadAsync().AsTask();
        Task writing = near.Output.WriteAsync(new byte[10_000_000]).AsTask();
        near.Reset();
        near.Reset();
        await AssertFails(TransportError.StreamReset, () => reading);
        await AssertFails(TransportError.StreamReset, () => writing);
        await AssertFails(TransportError.StreamReset, async () => await far.Input.ReadToEndAsync());
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_remote_reset_wakes_a_writer_that_waits_for_credit()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        Task writing = near.Output.WriteAsync(new byte[10_000_000]).AsTask();
        await far.Input.ReadAsync(1000);
        far.Reset();
        await AssertFails(TransportError.StreamReset, () => writing);
    }

    [Fact]
    public async Task Completing_the_output_with_an_error_resets()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        near.Output.Complete(new InvalidDataException("broken"));
        await AssertFails(TransportError.StreamReset, async () => await far.Input.ReadToEndAsync());
        await AssertFails(TransportError.StreamReset, async () => await near.Input.ReadAsync());
    }

    [Fact]
    public async Task Disposing_an_unfinished_stream_resets_it()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await near.Output.WriteAsync(new byte[10]);
        await near.DisposeAsync();
        await near.DisposeAsync();
        Assert.Equal(10, (await far.Input.ReadAsync(10)).Length);
        await AssertFails(TransportError.StreamReset, async () => await far.Input.ReadAsync());
    }

    [Fact]
    public async Task Disposing_after_both_ends_is_orderly()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await near.Output.WriteAsync(new byte[10]);
        near.Output.Complete();
        far.Output.Complete();
        Assert.Empty(await near.Input.ReadToEndAsync());
        await near.DisposeAsync();
        Assert.Equal(10, (await far.Input.ReadToEndAsync()).Length);
        await far.DisposeAsync();
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_responder_that_leaves_after_its_answer_does_not_lose_it()
    {
        // The opener keeps its own direction open until it has read the answer, as go and js do with identify.
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await far.Output.WriteAsync(new byte[200_000]);
        far.Output.Complete();
        await far.DisposeAsync();
        Assert.Equal(200_000, (await near.Input.ReadToEndAsync()).Length);
        near.Output.Complete();
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_sender_whose_bytes_nobody_reads_is_reset()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        far.Output.Complete();
        far.Input.Complete();
        await AssertFails(TransportError.StreamReset, async () => await WriteForever(near));
        await EventuallyNoStreams();
    }

    [Fact]
    public async Task A_sender_that_waits_for_credit_is_reset_when_its_reader_leaves()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        Task writing = near.Output.WriteAsync(new byte[10_000_000]).AsTask();
        await far.Input.ReadAsync(100);
        far.Input.Complete();
        far.Output.Complete();
        await AssertFails(TransportError.StreamReset, () => writing);
    }

    [Fact]
    public async Task An_orderly_close_is_seen_as_such_by_both_sides()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        await near.Output.WriteAsync(new byte[1000]);
        await Dialer.CloseAsync(default);
        await Dialer.CloseAsync(default);
        Assert.Null(await Dialer.Closed);
        Assert.Null(await Listener.Closed);
        Assert.Equal(0, Dialer.StreamCount + Listener.StreamCount);
        Assert.Equal(1000, (await far.Input.ReadAsync(1000)).Length);
        await AssertFails(TransportError.ConnectionClosed, async () => await far.Input.ReadAsync());
        await AssertFails(TransportError.ConnectionClosed, async () => await near.Input.ReadAsync());
        await AssertFails(TransportError.ConnectionClosed, async () => await near.Output.WriteAsync(new byte[1]));
    }

    [Fact]
    public async Task Closing_sends_what_was_written_before()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        near.Output.Write(new byte[100_000]);
        near.Output.Complete();
        await Dialer.CloseAsync(default);
        Assert.Equal(100_000, (await far.Input.ReadToEndAsync()).Length);
    }

    [Fact]
    public async Task Closing_wakes_everyone()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        (IMuxedStream idle, IMuxedStream idleFar) = await OpenAsync();
        Task[] waiting =
        [
            idle.Input.ReadAsync().AsTask(), idleFar.Input.ReadAsync().AsTask(), near.Output.WriteAsync(new byte[10_000_000]).AsTask(),
            far.Output.WriteAsync(new byte[10_000_000]).AsTask(),
        ];
        Task<IMuxedStream?>[] accepting = [Dialer.AcceptStreamAsync(default).AsTask(), Listener.AcceptStreamAsync(default).AsTask()];
        await Listener.CloseAsync(default);
        await Dialer.Closed;
        foreach (Task task in waiting) await AssertFails(TransportError.ConnectionClosed, () => task);
        foreach (Task<IMuxedStream?> task in accepting) Assert.Null(await task);
        foreach (IMuxedConnection side in new[] { Dialer, Listener })
        {
            await AssertFails(TransportError.ConnectionClosed, async () => await side.OpenStreamAsync(default));
            await AssertFails(TransportError.ConnectionClosed, async () => await side.PingAsync(default));
            Assert.Null(await side.AcceptStreamAsync(default));
        }
    }

    [Fact]
    public async Task Aborting_fails_everything_with_the_reason()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        (IMuxedStream idle, _) = await OpenAsync();
        Task reading = idle.Input.ReadAsync().AsTask();
        Task writing = near.Output.WriteAsync(new byte[10_000_000]).AsTask();
        Task remote = far.Output.WriteAsync(new byte[10_000_000]).AsTask();
        var reason = new TransportException(TransportError.LimitExceeded, "enough");
        Dialer.Abort(reason);
        await AssertFails(TransportError.LimitExceeded, () => reading);
        await AssertFails(TransportError.LimitExceeded, () => writing);
        await AssertFails(TransportError.ConnectionClosed, () => remote);
        Assert.Same(reason, await Dialer.Closed);
        Assert.NotNull(await Listener.Closed);
        await AssertFails(TransportError.ConnectionClosed, async () => await Dialer.OpenStreamAsync(default));
    }

    [Fact]
    public async Task Cancelling_waits_leaves_the_stream_usable()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        using var cancel = new CancellationTokenSource();
        Task reading = near.Input.ReadAsync(cancel.Token).AsTask();
        Task accepting = Dialer.AcceptStreamAsync(cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => accepting);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await near.Input.ReadAsync(cancel.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await near.Output.WriteAsync(new byte[1], cancel.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await Dialer.OpenStreamAsync(cancel.Token));

        await far.Output.WriteAsync(new byte[] { 7 });
        Assert.Equal([7], await near.Input.ReadAsync(1));
        (IMuxedStream other, _) = await OpenAsync(fromDialer: false);
        Assert.Equal(2, other.Id);
    }

    [Fact]
    public async Task A_write_cancelled_half_way_tears_the_stream()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        using var cancel = new CancellationTokenSource();
        Task writing = near.Output.WriteAsync(new byte[10_000_000], cancel.Token).AsTask();
        await far.Input.ReadAsync(1000);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        await AssertFails(TransportError.InvalidOperation, async () => await near.Output.WriteAsync(new byte[1]));
        near.Output.Complete(); // no proper end is possible
        await AssertFails(TransportError.StreamReset, async () => await far.Input.ReadToEndAsync());
    }

    [Fact]
    public async Task A_pending_read_and_flush_can_be_cancelled_without_a_token()
    {
        (IMuxedStream near, IMuxedStream far) = await OpenAsync();
        Task<ReadResult> reading = near.Input.ReadAsync().AsTask();
        near.Input.CancelPendingRead();
        Assert.True((await reading).IsCanceled);
        near.Input.AdvanceTo((await reading).Buffer.End);
        near.Input.CancelPendingRead();
        ReadResult result = await near.Input.ReadAsync();
        Assert.True(result.IsCanceled);
        near.Input.AdvanceTo(result.Buffer.End);

        near.Output.Write(new byte[1_000_000]);
        Task<FlushResult> flushing = near.Output.FlushAsync().AsTask();
        near.Output.CancelPendingFlush();
        Assert.True((await flushing).IsCanceled);
        flushing = near.Output.FlushAsync().AsTask(); // what was not sent goes on
        Assert.Equal(1_000_000, (await far.Input.ReadAsync(1_000_000)).Length);
        Assert.False((await flushing).IsCanceled);
    }

    [Fact]
    public async Task Pings_measure_the_round_trip_and_share()
    {
        TimeSpan[] results = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Dialer.PingAsync(default).AsTask()));
        Assert.All(results, result => Assert.True(result > TimeSpan.Zero));
        Assert.NotNull(Dialer.RoundTripTime);
        Assert.True(await Listener.PingAsync(default) > TimeSpan.Zero);
    }

    [Fact]
    public async Task Misuse_of_a_pipe_is_told()
    {
        (IMuxedStream near, _) = await OpenAsync();
        Assert.Throws<InvalidOperationException>(() => near.Input.AdvanceTo(default));
        Task reading = near.Input.ReadAsync().AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await near.Input.ReadAsync());
        ValueTask<FlushResult> writing = near.Output.WriteAsync(new byte[10_000_000]);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await near.Output.WriteAsync(new byte[1]));
        Assert.Throws<InvalidOperationException>(() => near.Output.GetMemory());
        near.Input.Complete();
        await Assert.ThrowsAsync<InvalidOperationException>(() => reading);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await near.Input.ReadAsync());
        near.Reset();
        await AssertFails(TransportError.StreamReset, () => writing.AsTask());
        near.Output.Complete();
        Assert.Throws<InvalidOperationException>(() => near.Output.GetMemory());
    }

    private protected static async Task AssertFails(TransportError error, Func<Task> action)
    {
        TransportException exception = await Assert.ThrowsAsync<TransportException>(action);
        Assert.True(error == exception.Error, $"expected {error}, got {exception.Error}: {exception.Message}");
    }

    private static async Task WriteForever(IMuxedStream stream)
    {
        var bytes = new byte[1000];
        while (true) await stream.Output.WriteAsync(bytes);
    }
}
