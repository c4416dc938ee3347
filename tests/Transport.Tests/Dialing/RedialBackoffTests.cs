using FastShare.Testing.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>How long patient callers leave a peer alone that could not be reached.</summary>
public sealed class RedialBackoffTests
{
    private static readonly PeerId Peer = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
    private static readonly PeerId Other = PeerId.Parse("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");
    private static readonly TransportException Failure = new(TransportError.DialFailure, "nobody there");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.168.0.{n}/tcp/4001");

    private static DialCandidate Near(int n) => new(Address(n), AddressScope.Private);

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    [Fact]
    public void Pauses_double_up_to_the_cap()
    {
        var backoff = new RedialBackoff(static () => 1);
        TimeSpan now = TimeSpan.Zero;
        var pauses = new List<double>();
        for (int i = 0; i < 9; i++)
        {
            RedialPause pause = backoff.Failed(Peer, Failure, now);
            Assert.Equal((i + 1, Failure), (pause.Failures, pause.Why));
            pauses.Add((pause.Until - now).TotalMilliseconds);
            now = pause.Until;
        }

        Assert.Equal([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000], pauses);
    }

    [Fact]
    public void Jitter_is_full()
    {
        double next = 0;
        var backoff = new RedialBackoff(() => next);
        Assert.Equal(TimeSpan.Zero, backoff.Failed(Peer, Failure, TimeSpan.Zero).Until);
        next = 0.5;
        Assert.Equal(Ms(250), backoff.Failed(Peer, Failure, TimeSpan.Zero).Until);
        next = 0.25;
        Assert.Equal(Ms(250), backoff.Failed(Peer, Failure, TimeSpan.Zero).Until);
    }

    [Fact]
    public void A_pause_ends_by_time_or_by_good_news_of_that_peer()
    {
        var backoff = new RedialBackoff(static () => 1);
        backoff.Failed(Peer, Failure, TimeSpan.Zero);
        backoff.Failed(Other, Failure, TimeSpan.Zero);
        Assert.Equal(Ms(250), backoff.Find(Peer, Ms(249))!.Until);
        Assert.Null(backoff.Find(Peer, Ms(250)));
        backoff.Reset(Peer);
        Assert.Null(backoff.Find(Peer, Ms(1)));
        Assert.NotNull(backoff.Find(Other, Ms(1)));
        Assert.Equal(1, backoff.Failed(Peer, Failure, Ms(1)).Failures);
    }

    [Fact]
    public void Failures_of_long_ago_do_not_lengthen_the_pause()
    {
        var backoff = new RedialBackoff(static () => 1);
        for (int i = 0; i < 5; i++) backoff.Failed(Peer, Failure, TimeSpan.Zero);
        Assert.Equal(1, backoff.Failed(Peer, Failure, TimeSpan.FromHours(1)).Failures);
    }

    [Fact]
    public void What_is_remembered_is_bounded()
    {
        var backoff = new RedialBackoff(static () => 1);
        backoff.Failed(Peer, Failure, TimeSpan.Zero);
        backoff.Failed(Peer, Failure, TimeSpan.Zero);
        for (int n = 0; n < 2 * RedialBackoff.MaxPeers; n++)
        {
            byte[] multihash = new byte[34];
            (multihash[0], multihash[1]) = (0x12, 32);
            BitConverter.TryWriteBytes(multihash.AsSpan(2), n);
            backoff.Failed(PeerId.FromBytes(multihash), Failure, TimeSpan.Zero);
        }

        Assert.Equal(2, backoff.Find(Peer, TimeSpan.Zero)!.Failures); // the longest pause is kept
    }

    private static async Task<ScriptedDials> FailedOnceAsync()
    {
        var net = new ScriptedDials(random: static () => 0.8);
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused");
        await Assert.ThrowsAsync<TransportException>(() => net.ConnectAsync(Peer, [Near(1)], Token));
        RedialPause pause = net.Dialer.Table.PauseOf(Peer, net.Dialer.Now)!;
        Assert.Equal((Ms(200), 1), (pause.Until, pause.Failures));
        Assert.Same(await net.FirstFailureAsync(), pause.Why);
        net.At(Address(1)).Works();
        return net;
    }

    [Fact]
    public async Task Patient_callers_wait_until_the_pause_is_over_and_share_one_dial()
    {
        await using ScriptedDials net = await FailedOnceAsync();
        Task<string>[] waiting = [.. Enumerable.Range(0, 10).Select(_ => net.ConnectPatientlyAsync(Peer, [Near(1)], Token))];
        await net.WhenWaitingAsync(Peer, 10);
        net.Time.Advance(Ms(199));
        Assert.Single(net.Dialed);
        net.Time.Advance(Ms(1));
        string[] connections = await Task.WhenAll(waiting);
        Assert.Single(connections.Distinct());
        Assert.Equal(2, net.Dialer.Table.DialCount(Peer));
        Assert.Null(net.Dialer.Table.PauseOf(Peer, TimeSpan.Zero));
    }

    [Fact]
    public async Task A_caller_without_patience_has_the_peer_dialed_at_once_for_all()
    {
        await using ScriptedDials net = await FailedOnceAsync();
        Task<string> patient = net.ConnectPatientlyAsync(Peer, [Near(1)], Token);
        await net.WhenWaitingAsync(Peer, 1);
        string connection = await net.ConnectAsync(Peer, [], Token);
        Assert.Equal(connection, await patient);
    }

    [Fact]
    public async Task News_of_the_peer_ends_the_wait()
    {
        await using ScriptedDials net = await FailedOnceAsync();
        Task<string> patient = net.ConnectPatientlyAsync(Peer, [Near(1)], Token);
        await net.WhenWaitingAsync(Peer, 1);
        net.Dialer.Learn(Peer, [Near(1)], isNews: false); // what it claims itself is not news
        net.Dialer.Learn(Other, [Near(1)], isNews: true);
        Assert.Single(net.Dialed);
        net.Dialer.Learn(Peer, [Near(1)], isNews: true);
        Assert.NotNull(await patient);
    }

    [Fact]
    public async Task A_connection_from_the_peer_ends_the_wait_without_a_dial()
    {
        await using ScriptedDials net = await FailedOnceAsync();
        Task<string> patient = net.ConnectPatientlyAsync(Peer, [Near(1)], Token);
        await net.WhenWaitingAsync(Peer, 1);
        net.Dialer.Table.Establish(Peer, "inbound", null);
        Assert.Equal("inbound", await patient);
        Assert.Single(net.Dialed);
        net.Lose(Peer, "inbound");
        Assert.NotNull(await net.ConnectPatientlyAsync(Peer, [Near(1)], Token)); // the pause was forgotten
    }

    [Fact]
    public async Task A_patient_caller_may_leave()
    {
        await using ScriptedDials net = await FailedOnceAsync();
        using var cancellation = new CancellationTokenSource();
        Task<string> patient = net.ConnectPatientlyAsync(Peer, [Near(1)], cancellation.Token);
        await net.WhenWaitingAsync(Peer, 1);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => patient);
        Assert.Equal(0, net.Dialer.Table.PendingCount(Peer));
        Assert.Single(net.Failures); // no dial got under way that could be told to have failed
    }

    [Fact]
    public async Task Nobody_is_left_alone_whom_a_connection_still_reaches()
    {
        await using var net = new ScriptedDials(random: static () => 1);
        await net.ConnectAsync(Peer, [Near(1)], Token);
        net.At(Address(2)).Fails(TransportError.ConnectionRefused, "refused");
        await Assert.ThrowsAsync<TransportException>(() => net.ConnectLaneAsync(Peer, [Near(2)], Token));
        Assert.Null(net.Dialer.Table.PauseOf(Peer, TimeSpan.Zero));
    }
}
