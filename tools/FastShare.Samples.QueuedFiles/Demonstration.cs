using System.Collections.Concurrent;
using System.Security.Cryptography;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Samples.QueuedFiles;

/// <summary>
/// The report that FastShare began with, replayed: a peer is found through mDNS and all queued files are sent to it at that moment.
/// In the application of the report every one of them failed ("Failed to dial the requested peer"), because the second request's
/// dial was refused while the first was under way, and any dial error emptied the peer's queue.
/// </summary>
internal sealed class Demonstration : IDisposable
{
    private const string Interface = "lo"; // nothing leaves this machine

    private readonly PeerIdentity _senderIdentity = PeerIdentity.Generate();
    private readonly PeerIdentity _receiverIdentity = PeerIdentity.Generate();
    private readonly ConcurrentDictionary<string, byte[]> _received = new(StringComparer.Ordinal);
    private readonly FileRequest[] _files =
        [.. Enumerable.Range(1, 5).Select(i => new FileRequest($"file-{i}.bin", RandomNumberGenerator.GetBytes(i * 100_000)))];
    private bool _isAsPromised = true;

    /// <returns>Whether everything was as promised.</returns>
    public async Task<bool> RunAsync()
    {
        await using Node sender = await Node.StartAsync(_senderIdentity, Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), Interface, receive: null);
        await AtTheMomentOfDiscoveryAsync(sender);
        await WhileTheReceiverIsOfflineAsync(sender);
        await WhenTheReceiverComesBackAsync(sender);
        Console.WriteLine(_isAsPromised ? "\nEverything was as promised." : "\nNot everything was as promised.");
        return _isAsPromised;
    }

    public void Dispose()
    {
        _senderIdentity.Dispose();
        _receiverIdentity.Dispose();
    }

    private async Task AtTheMomentOfDiscoveryAsync(Node sender)
    {
        Console.WriteLine("1. mDNS finds a peer, and five queued files are sent to it at once.");
        await using Node receiver = await StartReceiverAsync();
        await FoundAsync(sender);
        Console.WriteLine("   found the receiver; not connected yet");
        RequestException?[] failures = await Sending.SendAllAsync(sender, _receiverIdentity.PeerId, _files);
        int dials = sender.Swarm.DialCount(_receiverIdentity.PeerId);
        int connections = sender.Swarm.Connections.Count;
        Console.WriteLine($"   {failures.Count(f => f is null)} of {_files.Length} arrived, over {dials} dial and {connections} connection");
        Check(failures.All(f => f is null), "all files arrive");
        Check(dials == 1 && connections == 1, "they share one dial and one connection");
        Check(AllReceived(), "the receiver has them as they were sent");
    }

    private async Task WhileTheReceiverIsOfflineAsync(Node sender)
    {
        Console.WriteLine("\n2. The receiver has gone. The same five files:");
        foreach (PeerConnection connection in sender.Swarm.Connections) await connection.Closed; // it has noticed as well
        RequestException?[] failures = await Sending.SendAllAsync(sender, _receiverIdentity.PeerId, _files);
        Check(failures.All(f => f is { Failure: RequestFailure.DialFailure }), "each fails because the receiver cannot be dialed");
        Check(failures.All(f => f is { Attempts.Count: > 0 }), "and says which addresses were tried, and why each failed");
    }

    private async Task WhenTheReceiverComesBackAsync(Node sender)
    {
        Console.WriteLine("\n3. The same call with a retry budget of 60 s; the receiver comes back, elsewhere, after the first attempt has failed.");
        _received.Clear();
        var events = sender.Swarm.WatchAsync().GetAsyncEnumerator();
        var options = new RequestOptions { Timeout = TimeSpan.FromSeconds(60), Retry = RetryPolicy.UntilDeadline };
        Task<RequestException?[]> sending = Sending.SendAllAsync(sender, _receiverIdentity.PeerId, _files, options);
        while (await events.MoveNextAsync())
        {
            if (events.Current is SwarmEvent.DialFailed) break;
        }

        await events.DisposeAsync();
        Console.WriteLine($"   an attempt has failed; {(sending.IsCompleted ? "nothing waits" : "the files wait")}; starting the receiver again");
        Check(!sending.IsCompleted, "the requests outlive a failed attempt");
        await using Node receiver = await StartReceiverAsync();
        Console.WriteLine($"   it listens at {receiver.Swarm.ListenAddresses[0]}, which mDNS will tell");
        RequestException?[] failures = await sending;
        Check(failures.All(f => f is null), "all files arrive within the budget");
        Check(AllReceived(), "the receiver has them as they were sent");
    }

    private Task<Node> StartReceiverAsync() =>
        Node.StartAsync(_receiverIdentity, Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), Interface, (_, file, _) =>
        {
            _received[file.Name] = file.Content;
            return new ValueTask<FileReceipt>(new FileReceipt((ulong)file.Content.Length, Sending.Digest(file.Content)));
        });

    private async Task FoundAsync(Node sender)
    {
        await foreach (PeerId peer in sender.Found.ReadAllAsync())
        {
            if (peer == _receiverIdentity.PeerId) return; // others may be about
        }
    }

    private bool AllReceived() =>
        _files.All(file => _received.TryGetValue(file.Name, out byte[]? content) && content.AsSpan().SequenceEqual(file.Content));

    private void Check(bool isTrue, string promise)
    {
        Console.WriteLine($"   {(isTrue ? "yes" : "NO")}: {promise}");
        _isAsPromised &= isTrue;
    }
}
