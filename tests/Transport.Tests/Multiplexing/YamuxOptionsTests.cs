using FastShare.Transport.Multiplexing;

namespace FastShare.Transport.Tests.Multiplexing;

public sealed class YamuxOptionsTests
{
    [Fact]
    public void Values_out_of_range_are_refused_by_name()
    {
        Refused(nameof(YamuxOptions.InitialWindow), () => new YamuxOptions { InitialWindow = 1000 });
        Refused(nameof(YamuxOptions.MaxStreamWindow), () => new YamuxOptions { MaxStreamWindow = uint.MaxValue });
        Refused(nameof(YamuxOptions.GrowthBudget), () => new YamuxOptions { GrowthBudget = -1 });
        Refused(nameof(YamuxOptions.MaxBufferedBytes), () => new YamuxOptions { MaxBufferedBytes = 0 });
        Refused(nameof(YamuxOptions.AcceptBacklog), () => new YamuxOptions { AcceptBacklog = 0 });
        Refused(nameof(YamuxOptions.MaxUnacknowledged), () => new YamuxOptions { MaxUnacknowledged = 0 });
        Refused(nameof(YamuxOptions.MaxPayload), () => new YamuxOptions { MaxPayload = 1 << 20 });
        Refused(nameof(YamuxOptions.PingInterval), () => new YamuxOptions { PingInterval = TimeSpan.Zero });
        Refused(nameof(YamuxOptions.CloseTimeout), () => new YamuxOptions { CloseTimeout = Timeout.InfiniteTimeSpan });

        static void Refused(string name, Func<YamuxOptions> make) => Assert.Throws<ArgumentOutOfRangeException>(name, make);
    }
}
