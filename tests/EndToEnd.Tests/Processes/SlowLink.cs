using System.Net;
using System.Net.Sockets;

namespace FastShare.EndToEnd.Tests.Processes;

/// <summary>A relay on loopback that lets so many bytes a second through, so that a test can step in while a transfer runs.</summary>
internal sealed class SlowLink : IAsyncDisposable
{
    private static readonly TimeSpan _beat = TimeSpan.FromMilliseconds(20);

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _target;
    private readonly int _bytesPerBeat;
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _holdsAt;
    private readonly CancellationTokenSource _end = new();
    private long _passed; // interlocked: towards the target
    private readonly Task _accepting;

    /// <param name="address">The multiaddr to relay to.</param>
    /// <param name="bytesPerSecond">In each direction.</param>
    /// <param name="holdsAt">When so many bytes have gone to the target, the next ones wait for <see cref="Release"/>.</param>
    public SlowLink(string address, int bytesPerSecond, long holdsAt = long.MaxValue)
    {
        _holdsAt = holdsAt;
        Address = "";
        string[] parts = address.Split('/');
        _target = int.Parse(parts[4], System.Globalization.CultureInfo.InvariantCulture);
        _bytesPerBeat = (int)(bytesPerSecond * _beat.TotalSeconds);
        _listener.Start();
        parts[4] = ((IPEndPoint)_listener.LocalEndpoint).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        Address = string.Join('/', parts);
        _accepting = AcceptAsync();
    }

    /// <summary>The target's multiaddr, by way of this relay.</summary>
    public string Address { get; }

    /// <summary>Lets pass what was held.</summary>
    public void Release() => _released.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Stop();
        await _accepting;
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        var relays = new List<Task>();
        try
        {
            while (true) relays.Add(RelayAsync(await _listener.AcceptTcpClientAsync(_end.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
        }

        await Task.WhenAll(relays);
    }

    private async Task RelayAsync(TcpClient client)
    {
        using TcpClient near = client, far = new();
        try
        {
            await far.ConnectAsync(IPAddress.Loopback, _target, _end.Token);
            // the end of either direction ends both, as a cut line does
            Task there = CopyAsync(near.GetStream(), far.GetStream(), isHeld: true);
            Task back = CopyAsync(far.GetStream(), near.GetStream(), isHeld: false);
            await Task.WhenAny(there, back);
            near.Close();
            far.Close();
            await Task.WhenAll(there, back);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
        }
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to, bool isHeld)
    {
        byte[] buffer = new byte[_bytesPerBeat];
        while (true)
        {
            int read = await from.ReadAsync(buffer, _end.Token);
            if (read == 0) return;
            if (isHeld && Interlocked.Add(ref _passed, read) > _holdsAt) await _released.Task.WaitAsync(_end.Token);
            await to.WriteAsync(buffer.AsMemory(0, read), _end.Token);
            await Task.Delay(_beat * read / buffer.Length, _end.Token);
        }
    }
}
