using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Sockets;

/// <summary>What every transport's connections and listeners must do; each transport has a tiny subclass.</summary>
public abstract class DuplexConnectionConformance
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    protected abstract ITransport CreateTransport();

    /// <summary>An address to listen on.</summary>
    protected abstract Multiaddr ListenAddress { get; }

    private sealed record Pair(IListener Listener, IDuplexConnection Dialer, IDuplexConnection Accepted) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Dialer.DisposeAsync();
            await Accepted.DisposeAsync();
            await Listener.DisposeAsync();
        }
    }

    private async Task<Pair> ConnectAsync()
    {
        ITransport transport = CreateTransport();
        IListener listener = await transport.ListenAsync(ListenAddress, Token);
        ValueTask<IDuplexConnection> accept = listener.AcceptAsync(Token);
        IDuplexConnection dialer = await transport.DialAsync(listener.Address, Token);
        return new Pair(listener, dialer, await accept);
    }

    private static byte[] Pattern(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static async Task<byte[]> ReadToEndAsync(IDuplexConnection connection, int bufferSize = 64 << 10)
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[bufferSize];
        while (await connection.ReceiveAsync(buffer, Token) is var count and > 0) all.Write(buffer, 0, count);
        return all.ToArray();
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 65536)]
    [InlineData(1000, 7)]
    [InlineData(65536, 65536)]
    [InlineData(300_000, 4096)]
    [InlineData(9_000_001, 1 << 20)]
    public async Task Bytes_arrive_complete_and_in_order(int length, int bufferSize)
    {
        await using Pair pair = await ConnectAsync();
        byte[] sent = Pattern(length);
        Task<byte[]> reading = ReadToEndAsync(pair.Accepted, bufferSize);
        await pair.Dialer.SendAsync(sent, Token);
        pair.Dialer.CloseWrite();
        Assert.Equal(sent, await reading);
    }

    [Fact]
    public async Task Both_directions_run_at_the_same_time()
    {
        await using Pair pair = await ConnectAsync();
        byte[] there = Pattern(5_000_000), back = Pattern(4_000_000);
        Task<byte[]> first = ReadToEndAsync(pair.Accepted), second = ReadToEndAsync(pair.Dialer);
        await Task.WhenAll(SendAndEndAsync(pair.Dialer, there), SendAndEndAsync(pair.Accepted, back));
        Assert.Equal(there, await first);
        Assert.Equal(back, await second);

        static async Task SendAndEndAsync(IDuplexConnection connection, byte[] data)
        {
            await connection.SendAsync(data, Token);
            connection.CloseWrite();
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(200)]
    public async Task Gathered_segments_arrive_in_order_whatever_their_sizes(int segments)
    {
        await using Pair pair = await ConnectAsync();
        // Empty ones, header-sized ones and ones that no socket buffer takes at once.
        int[] sizes = [12, 65536, 0, 12, 300_000, 1, 0, 0];
        List<ReadOnlyMemory<byte>> parts = [.. Enumerable.Range(0, segments).Select(i => (ReadOnlyMemory<byte>)Pattern(sizes[i % sizes.Length]))];
        Task<byte[]> reading = ReadToEndAsync(pair.Accepted);
        await pair.Dialer.SendAsync(parts, Token);
        await pair.Dialer.SendAsync([], Token);
        pair.Dialer.CloseWrite();
        Assert.Equal(parts.SelectMany(p => p.ToArray()).ToArray(), await reading);
    }

    [Fact]
    public async Task Gathering_takes_memory_that_is_not_backed_by_an_array()
    {
        await using Pair pair = await ConnectAsync();
        using var native = new NativeMemory(100_000);
        new Random(1).NextBytes(native.GetSpan());
        byte[] expected = [.. "ab"u8, .. native.GetSpan(), .. "cd"u8];
        Task<byte[]> reading = ReadToEndAsync(pair.Accepted);
        await pair.Dialer.SendAsync(["ab"u8.ToArray(), native.Memory, "cd"u8.ToArray()], Token);
        pair.Dialer.CloseWrite();
        Assert.Equal(expected, await reading);
    }

    [Fact]
    public async Task Ending_the_write_side_leaves_the_read_side_open()
    {
        await using Pair pair = await ConnectAsync();
        pair.Dialer.CloseWrite();
        Assert.Equal(0, await pair.Accepted.ReceiveAsync(new byte[10], Token));
        await pair.Accepted.SendAsync("still here"u8.ToArray(), Token);
        pair.Accepted.CloseWrite();
        Assert.Equal("still here"u8.ToArray(), await ReadToEndAsync(pair.Dialer));
    }

    [Fact]
    public async Task The_end_is_reported_again_and_again()
    {
        await using Pair pair = await ConnectAsync();
        await pair.Dialer.SendAsync(new byte[] { 1 }, Token);
        pair.Dialer.CloseWrite();
        byte[] buffer = new byte[10];
        Assert.Equal(1, await pair.Accepted.ReceiveAsync(buffer, Token));
        Assert.Equal(0, await pair.Accepted.ReceiveAsync(buffer, Token));
        Assert.Equal(0, await pair.Accepted.ReceiveAsync(buffer, Token));
    }

    [Fact]
    public async Task Abort_wakes_a_pending_receive()
    {
        await using Pair pair = await ConnectAsync();
        Task<int> receiving = pair.Dialer.ReceiveAsync(new byte[10], Token).AsTask();
        Assert.False(receiving.IsCompleted);
        pair.Dialer.Abort();
        var error = await Assert.ThrowsAsync<TransportException>(() => receiving);
        Assert.Equal(TransportError.ConnectionClosed, error.Error);
    }

    [Fact]
    public async Task Abort_wakes_a_pending_send()
    {
        await using Pair pair = await ConnectAsync();
        Task sending = SendForeverAsync(pair.Dialer);
        await WaitUntilBlockedAsync(pair.Dialer, sending);
        pair.Dialer.Abort();
        var error = await Assert.ThrowsAsync<TransportException>(() => sending);
        Assert.Equal(TransportError.ConnectionClosed, error.Error);
    }

    [Fact]
    public async Task Abort_of_one_end_ends_the_other()
    {
        await using Pair pair = await ConnectAsync();
        Task sending = SendForeverAsync(pair.Accepted);
        pair.Dialer.Abort();
        var error = await Assert.ThrowsAsync<TransportException>(() => sending);
        Assert.Contains(error.Error, new[] { TransportError.ConnectionReset, TransportError.ConnectionClosed, TransportError.Io });
    }

    [Fact]
    public async Task Abort_can_be_called_by_many_at_once_and_again()
    {
        await using Pair pair = await ConnectAsync();
        Task<int> receiving = pair.Dialer.ReceiveAsync(new byte[10], Token).AsTask();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(pair.Dialer.Abort)));
        pair.Dialer.Abort();
        await pair.Dialer.DisposeAsync();
        await Assert.ThrowsAsync<TransportException>(() => receiving);
        await Assert.ThrowsAsync<TransportException>(() => pair.Dialer.ReceiveAsync(new byte[1], Token).AsTask());
        await Assert.ThrowsAsync<TransportException>(() => pair.Dialer.SendAsync(new byte[1], Token).AsTask());
        pair.Dialer.CloseWrite();
    }

    [Fact]
    public async Task What_was_sent_before_an_abort_still_arrives()
    {
        await using Pair pair = await ConnectAsync();
        await pair.Dialer.SendAsync("goodbye"u8.ToArray(), Token);
        pair.Dialer.Abort();
        Assert.Equal("goodbye"u8.ToArray(), await ReadToEndAsync(pair.Accepted));
    }

    [Fact]
    public async Task A_cancelled_receive_leaves_the_connection_usable()
    {
        await using Pair pair = await ConnectAsync();
        using var cancellation = new CancellationTokenSource();
        Task<int> receiving = pair.Accepted.ReceiveAsync(new byte[10], cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => receiving);
        await pair.Dialer.SendAsync(new byte[] { 1, 2, 3 }, Token);
        Assert.Equal(3, await pair.Accepted.ReceiveAsync(new byte[10], Token));
    }

    [Fact]
    public async Task A_cancelled_token_starts_nothing()
    {
        await using Pair pair = await ConnectAsync();
        var cancelled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pair.Dialer.SendAsync(new byte[] { 9 }, cancelled).AsTask());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pair.Accepted.ReceiveAsync(new byte[1], cancelled).AsTask());
        pair.Dialer.CloseWrite();
        Assert.Equal(0, await pair.Accepted.ReceiveAsync(new byte[1], Token));
    }

    [Fact]
    public async Task A_pending_send_can_be_cancelled()
    {
        await using Pair pair = await ConnectAsync();
        using var cancellation = new CancellationTokenSource();
        Task sending = SendForeverAsync(pair.Dialer, cancellation.Token);
        await WaitUntilBlockedAsync(pair.Dialer, sending);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
    }

    [Fact]
    public async Task Dialing_where_nothing_listens_is_refused()
    {
        ITransport transport = CreateTransport();
        IListener listener = await transport.ListenAsync(ListenAddress, Token);
        Multiaddr address = listener.Address;
        await listener.DisposeAsync();
        var error = await Assert.ThrowsAsync<TransportException>(async () => await transport.DialAsync(address, Token));
        Assert.Equal(TransportError.ConnectionRefused, error.Error);
        Assert.Contains(address.ToString(), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Listening_twice_on_one_address_fails()
    {
        ITransport transport = CreateTransport();
        await using IListener listener = await transport.ListenAsync(ListenAddress, Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await transport.ListenAsync(listener.Address, Token));
        Assert.Equal(TransportError.AddressInUse, error.Error);
    }

    [Fact]
    public async Task Disposing_a_listener_ends_its_accept_and_keeps_its_connections()
    {
        Pair pair = await ConnectAsync();
        Task<IDuplexConnection> accepting = pair.Listener.AcceptAsync(Token).AsTask();
        await pair.Listener.DisposeAsync();
        await pair.Listener.DisposeAsync();
        var error = await Assert.ThrowsAsync<TransportException>(() => accepting);
        Assert.Equal(TransportError.Aborted, error.Error);
        await pair.Dialer.SendAsync(new byte[] { 5 }, Token);
        byte[] buffer = new byte[1];
        Assert.Equal(1, await pair.Accepted.ReceiveAsync(buffer, Token));
        Assert.Equal(5, buffer[0]);
        await pair.DisposeAsync();
    }

    [Fact]
    public async Task A_cancelled_accept_leaves_the_listener_usable()
    {
        ITransport transport = CreateTransport();
        await using IListener listener = await transport.ListenAsync(ListenAddress, Token);
        using var cancellation = new CancellationTokenSource();
        Task<IDuplexConnection> accepting = listener.AcceptAsync(cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => accepting);
        await using IDuplexConnection dialer = await transport.DialAsync(listener.Address, Token);
        await using IDuplexConnection accepted = await listener.AcceptAsync(Token);
    }

    [Fact]
    public async Task Each_end_names_the_other()
    {
        await using Pair pair = await ConnectAsync();
        Assert.Equal(pair.Dialer.LocalAddress, pair.Accepted.RemoteAddress);
        Assert.Equal(pair.Dialer.RemoteAddress, pair.Accepted.LocalAddress);
        Assert.Equal(pair.Listener.Address, pair.Accepted.LocalAddress);
    }

    [Fact]
    public async Task A_peer_id_in_an_address_is_ignored()
    {
        ITransport transport = CreateTransport();
        await using IListener listener = await transport.ListenAsync(ListenAddress, Token);
        Multiaddr address = listener.Address.WithPeerId(PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"));
        Assert.True(transport.Supports(address));
        await using IDuplexConnection dialer = await transport.DialAsync(address, Token);
    }

    [Fact]
    public async Task Foreign_addresses_are_not_supported()
    {
        ITransport transport = CreateTransport();
        var foreign = Multiaddr.Parse("/ip4/127.0.0.1/udp/4001/quic-v1");
        Assert.False(transport.Supports(foreign));
        var error = await Assert.ThrowsAsync<TransportException>(async () => await transport.DialAsync(foreign, Token));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
    }

    private static async Task SendForeverAsync(IDuplexConnection connection, CancellationToken token = default)
    {
        byte[] block = new byte[1 << 20];
        while (true) await connection.SendAsync(block, token);
    }

    // Blocked for good: nobody reads. A few turns of the scheduler suffice to see that it makes no progress.
    private static async Task WaitUntilBlockedAsync(IDuplexConnection connection, Task sending)
    {
        Assert.NotNull(connection);
        for (int i = 0; i < 50; i++) await Task.Yield();
        Assert.False(sending.IsCompleted);
    }

    private sealed unsafe class NativeMemory(int length) : System.Buffers.MemoryManager<byte>
    {
        private readonly void* _start = System.Runtime.InteropServices.NativeMemory.Alloc((nuint)length);

        public override Span<byte> GetSpan() => new(_start, length);

        public override System.Buffers.MemoryHandle Pin(int elementIndex = 0) => new((byte*)_start + elementIndex);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing) => System.Runtime.InteropServices.NativeMemory.Free(_start);
    }
}

public sealed class Tcp4ConnectionTests : DuplexConnectionConformance
{
    protected override Multiaddr ListenAddress => Multiaddr.Parse("/ip4/127.0.0.1/tcp/0");

    protected override ITransport CreateTransport() => new TcpTransport();
}

public sealed class Tcp6ConnectionTests : DuplexConnectionConformance
{
    protected override Multiaddr ListenAddress => Multiaddr.Parse("/ip6/::1/tcp/0");

    protected override ITransport CreateTransport()
    {
        if (!System.Net.Sockets.Socket.OSSupportsIPv6) Assert.Skip("this machine has no IPv6");
        return new TcpTransport();
    }
}

public sealed class MemoryConnectionTests : DuplexConnectionConformance
{
    protected override Multiaddr ListenAddress => Multiaddr.Parse("/memory/listener");

    protected override ITransport CreateTransport() => new MemoryTransport();
}
