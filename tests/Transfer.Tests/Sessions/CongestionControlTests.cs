using System.Threading.Channels;
using FastShare.Testing.Transfer;
using FastShare.Transport.Sockets;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Which congestion control a transfer asks the kernel for.</summary>
public class CongestionControlTests
{
    [Theory]
    [InlineData(null, 100, "bbr", "bbr")]
    [InlineData("cubic", 100, "cubic", "cubic")]
    [InlineData("cubic", 0, "cubic", "cubic")] // near: asked for all the same
    [InlineData("vegas", 100, "vegas", "reno")] // this kernel lacks it
    public async Task What_was_asked_for_or_what_suits_the_path_is_set_and_what_is_in_use_is_told(string? chosen, int roundTrip, string asked, string used)
    {
        var kernel = new Kernel("reno", "cubic", "bbr");
        await using var pair = new TransferPair();
        pair.AddFile("large", 1 << 20);
        pair.Network.LinkMade = link =>
        {
            link.RoundTripTime = TimeSpan.FromMilliseconds(roundTrip);
            link.Socket = kernel;
        };
        Transfer sent = pair.Send(new SendOptions { CongestionControl = chosen });
        await sent.PauseAsync(); // until the path was looked at
        Assert.Equal(asked, await kernel.Asked.Reader.ReadAsync(TestContext.Current.CancellationToken));
        await sent.ResumeAsync();
        await sent.Completion;
        Assert.Equal(used, sent.Statistics.CongestionControl);
        Assert.False(kernel.Asked.Reader.TryRead(out _));
        Assert.Equal("", pair.Differences());
    }

    [Theory]
    [InlineData("")]
    [InlineData("sixteen_letters_")]
    [InlineData("b b")]
    [InlineData("cubic\0")]
    public void What_no_kernel_can_have_is_refused_at_once(string name)
    {
        Assert.Throws<ArgumentException>(() => new SendOptions { CongestionControl = name });
    }

    /// <summary>Knows some kinds, begins with the first; says nothing of the path.</summary>
    private sealed class Kernel(params string[] known) : ISocketTuning
    {
        public Channel<string> Asked { get; } = Channel.CreateUnbounded<string>();

        public string? CongestionControl { get; private set; } = known[0];

        public bool TrySetCongestionControl(string name)
        {
            bool has = known.Contains(name);
            if (has) CongestionControl = name;
            Assert.True(Asked.Writer.TryWrite(name));
            return has;
        }

        public bool TrySetNotSentLimit(int bytes) => false;

        public SocketPath? Measure() => null;
    }
}
