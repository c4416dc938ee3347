using System.Text;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Requests;

/// <summary>The code of docs/requests.md: it compiles and does what is said there.</summary>
public sealed class RequestGuideTests
{
    private static readonly RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Greeting =
        new("/example/greeting/1", BytesCodec.Instance, BytesCodec.Instance);

    [Fact]
    public async Task The_example_of_the_guide_works()
    {
        await using var nodes = new TestNodes();
        Swarm alice = await nodes.StartTcpAsync(), bob = await nodes.StartTcpAsync();

        await using var answers = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            bob, Greeting, (context, request, cancellationToken) =>
            {
                byte[] response = Encoding.UTF8.GetBytes($"hello {Encoding.UTF8.GetString(request.Span)}");
                return ValueTask.FromResult<ReadOnlyMemory<byte>>(response);
            });

        await using var asks = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            alice, Greeting, (context, _, _) =>
            {
                context.Omit();
                return default;
            });

        string said = await AskAsync(asks, bob.LocalPeer, bob.ListenAddresses);
        Assert.Equal("hello alice", said);
        await bob.DisposeAsync();
        await alice.DisconnectAsync(bob.LocalPeer, TestContext.Current.CancellationToken);
        Assert.StartsWith("not today: ", await AskAsync(asks, bob.LocalPeer, bob.ListenAddresses));
    }

    private static async Task<string> AskAsync(
        RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> asks, PeerId bob, IReadOnlyList<Multiaddr> addresses)
    {
        var options = new RequestOptions
        {
            Addresses = addresses,
            Timeout = TimeSpan.FromSeconds(5),
            Retry = new RetryPolicy { MaxAttempts = 3, InitialDelay = TimeSpan.FromMilliseconds(10) },
            IsIdempotent = true,
        };
        try
        {
            ReadOnlyMemory<byte> response = await asks.SendAsync(bob, "alice"u8.ToArray(), options);
            return Encoding.UTF8.GetString(response.Span);
        }
        catch (RequestException e)
        {
            // e.Failure, e.Stage, e.Times, and for a dial each address's own cause in e.Attempts
            return $"not today: {e.Failure}, {string.Join("; ", e.Attempts.Select(a => $"{a.Address}: {a.Message}"))}";
        }
    }
}
