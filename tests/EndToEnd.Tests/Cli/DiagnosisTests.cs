using FastShare.Cli.Bench;
using FastShare.Cli.Hosting;

namespace FastShare.EndToEnd.Tests.Cli;

/// <summary>Situations as <c>bench</c> measures them, and what it has to call them.</summary>
public sealed class DiagnosisTests
{
    private const double Gbit = 1e9 / 8, Mbit = 1e6 / 8;

    private static readonly BenchRun _idle = new(
        PerfDirection.Upload, 1, 0, TimeSpan.FromSeconds(3), Cores: 0.1, MachineBusy: 0.2, CipherPart: 0.3, WaitingForPath: 0.1,
        WaitingForWindow: 0.1, WaitingForBytes: 0.1, SendBufferLimited: 0, ReceiveWindowLimited: 0, LoadedRoundTrip: null, Repeated: 0);

    /// <summary>The situation, what limits sending, and receiving.</summary>
    public static TheoryData<string, string, string> Situations => new()
    {
        { "send buffer over 100 ms", "Window", "Window" },
        { "receive buffer over 100 ms", "Window", "Window" },
        { "congestion window over 100 ms on a busy machine", "Window", "Window" },
        { "send buffer caps several connections too", "Window", "Beyond" },
        { "the kernel tells nothing", "Window", "Window" },
        { "loss over 30 ms", "Loss", "Window" },
        { "line of 1 Gbit/s at 1 ms", "Network", "Network" },
        { "line whose queue shows in the round trip only", "Network", "Beyond" },
        { "line that is slower in than out", "Network", "Beyond" },
        { "loopback on two cores", "Processor", "Processor" },
        { "one core of eight", "OneCore", "OneCore" },
        { "one core of eight, and more connections do not help", "OneCore", "OneCore" },
        { "a slow reader there", "OtherSide", "Beyond" },
        { "a slow disk", "Disk", "Network" },
        { "disk and network about equal", "Disk, Network", "Network" },
        { "network just below the disk", "Network, Disk", "Network" },
        { "slow hashing", "Hash", "Network" },
        { "nothing stands out", "Unclear", "Unclear" },
        { "nothing was moved", "Unclear", "Unclear" },
    };

    [Theory]
    [MemberData(nameof(Situations))]
    public void Names_the_bottleneck(string situation, string sending, string receiving)
    {
        Verdict verdict = Diagnosis.Of(Measure(situation));
        Assert.Equal(sending, string.Join(", ", verdict.Sending.Select(limit => limit.Kind)));
        Assert.Equal(receiving, string.Join(", ", verdict.Receiving.Select(limit => limit.Kind)));
        Assert.All(verdict.Sending.Concat(verdict.Receiving), limit =>
        {
            Assert.NotEmpty(limit.Why);
            Assert.NotEmpty(limit.Advice);
        });
    }

    [Fact]
    public void Says_what_each_number_of_connections_carried_and_what_to_type()
    {
        Limit limit = Diagnosis.Of(Measure("send buffer over 100 ms")).Sending[0];
        Assert.Contains("one connection carried 35.0 MB/s (280 Mbit/s) over 100 ms", limit.Why, StringComparison.Ordinal);
        Assert.Contains("its send buffer was full 70 % of the time", limit.Why, StringComparison.Ordinal);
        Assert.Contains("4 connections carried 119 MB/s (950 Mbit/s)", limit.Why, StringComparison.Ordinal);
        Assert.Contains("--mode parallel --connections 4", limit.Advice, StringComparison.Ordinal);
        Assert.Contains("22.6 MiB (net.ipv4.tcp_wmem)", limit.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void Says_how_busy_the_processor_is_and_with_what()
    {
        Limit limit = Diagnosis.Of(Measure("loopback on two cores")).Sending[0];
        Assert.Contains("the 2 cores of this machine are busy 98 % of the time", limit.Why, StringComparison.Ordinal);
        Assert.Contains("this program used 1.0, 61 % of that for the cipher, other programs 1.0", limit.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void The_other_side_on_the_same_machine_counts_with_this_one_and_not_as_another_program()
    {
        BenchRun run = new(
            PerfDirection.Upload, 1, 4_000_000_000, TimeSpan.FromSeconds(1), Cores: 0.3, MachineBusy: 0.98, CipherPart: 0, WaitingForPath: 0.6,
            WaitingForWindow: 0, WaitingForBytes: 0, SendBufferLimited: 0, ReceiveWindowLimited: 0, LoadedRoundTrip: null, Repeated: 0);
        Assert.Equal(LimitKind.Network, Sending(run).Kind);
        Limit limit = Sending(run with { OtherCores = 0.6 });
        Assert.Equal(LimitKind.Processor, limit.Kind);
        Assert.Contains("this program used 0.3, 0 % of that for the cipher, the other side here 0.6, other programs 1.1", limit.Why, StringComparison.Ordinal);

        static Limit Sending(BenchRun run) => Diagnosis.Of(
            new BenchMeasurement(TimeSpan.FromMilliseconds(0.1), 2, 20e9, null, null, [run])).Sending[0];
    }

    [Fact]
    public void A_slow_cipher_is_what_to_change()
    {
        BenchMeasurement measured = Measure("loopback on two cores");
        Assert.Contains("AES", Diagnosis.Of(measured with { CipherBytesPerSecond = 0.6e9 }).Sending[0].Advice, StringComparison.Ordinal);
        Assert.DoesNotContain("AES", Diagnosis.Of(measured).Sending[0].Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tie_is_called_one()
    {
        Verdict verdict = Diagnosis.Of(Measure("disk and network about equal"));
        string[] lines = [.. BenchReport.Describe("Sending", verdict.Sending)];
        Assert.Equal("Sending is limited by the disk and by the network, about equally.", lines[0]);
        Assert.Equal(5, lines.Length);
    }

    [Fact]
    public void Where_nothing_stands_out_it_says_so()
    {
        Verdict verdict = Diagnosis.Of(Measure("nothing stands out"));
        Assert.Equal("Sending: no clear bottleneck.", BenchReport.Describe("Sending", verdict.Sending).First());
    }

    private static BenchMeasurement Measure(string situation) => situation switch
    {
        "send buffer over 100 ms" => Measured(
            100, Up(1, 280 * Mbit) with { SendBufferLimited = 0.7, WaitingForPath = 0.98 }, Up(4, 950 * Mbit) with { WaitingForPath = 0.98 },
            Down(1, 280 * Mbit) with { WaitingForBytes = 0.98 }, Down(4, 950 * Mbit) with { WaitingForBytes = 0.9 }),
        "receive buffer over 100 ms" => Measured(
            100, Up(1, 280 * Mbit) with { ReceiveWindowLimited = 0.8, WaitingForPath = 0.9 }, Up(4, 900 * Mbit),
            Down(1, 280 * Mbit), Down(4, 900 * Mbit)),
        "congestion window over 100 ms on a busy machine" => Measured(
            100, Up(1, 100 * Mbit) with { WaitingForPath = 0.99, MachineBusy = 1 }, Up(4, 390 * Mbit) with { MachineBusy = 1, Cores = 0.5 },
            Down(1, 100 * Mbit) with { MachineBusy = 1 }, Down(4, 390 * Mbit) with { MachineBusy = 1, Cores = 0.5 }),
        "send buffer caps several connections too" => Measured(
            100, Up(1, 280 * Mbit) with { SendBufferLimited = 0.6 }, Up(4, 300 * Mbit) with { SendBufferLimited = 0.6 },
            Down(1, 280 * Mbit) with { WaitingForBytes = 0.9 }, Down(4, 300 * Mbit) with { WaitingForBytes = 0.9 }),
        "the kernel tells nothing" => Measured(
            100, Untold(Up(1, 280 * Mbit) with { WaitingForPath = 0.98 }), Untold(Up(4, 950 * Mbit)),
            Untold(Down(1, 280 * Mbit)), Untold(Down(4, 950 * Mbit))),
        "loss over 30 ms" => Measured(
            30, Up(1, 20 * Mbit) with { Repeated = 0.001, WaitingForPath = 0.99 }, Up(4, 80 * Mbit) with { Repeated = 0.001 },
            Down(1, 20 * Mbit), Down(4, 80 * Mbit)),
        "line of 1 Gbit/s at 1 ms" => Line(),
        "line whose queue shows in the round trip only" => Measured(
            1, Up(1, 0.94 * Gbit) with { WaitingForWindow = 0.8, LoadedRoundTrip = TimeSpan.FromMilliseconds(12) }, Up(4, 0.94 * Gbit),
            Down(1, 0.5 * Gbit) with { WaitingForBytes = 0.9 }, Down(4, 0.5 * Gbit) with { WaitingForBytes = 0.9 }),
        "line that is slower in than out" => Measured(
            5, Up(1, 100 * Mbit) with { WaitingForPath = 0.9 }, Up(4, 100 * Mbit), Down(1, 20 * Mbit) with { WaitingForBytes = 0.95 },
            Down(4, 20 * Mbit)),
        "loopback on two cores" => Measured(
            0.1, Busy(Up(1, 1.4e9)), Busy(Up(4, 1.5e9)), Busy(Down(1, 1.4e9)), Busy(Down(4, 1.5e9))) with
        { Processors = 2 },
        "one core of eight" => Measured(
            0.2, Up(1, 1.5e9) with { Cores = 0.97 }, Up(4, 4.5e9) with { Cores = 3 }, Down(1, 1.5e9) with { Cores = 0.97 },
            Down(4, 4.5e9) with { Cores = 3 }),
        "one core of eight, and more connections do not help" => Measured(
            0.2, Up(1, 1.5e9) with { Cores = 0.97 }, Up(4, 1.6e9) with { Cores = 1.2 }, Down(1, 1.5e9) with { Cores = 0.97 },
            Down(4, 1.6e9) with { Cores = 1.2 }),
        "a slow reader there" => Measured(
            0.3, Up(1, 0.4e9) with { WaitingForWindow = 0.85, LoadedRoundTrip = TimeSpan.FromMilliseconds(0.3) }, Up(4, 0.42e9),
            Down(1, 0.4e9) with { WaitingForBytes = 0.8 }, Down(4, 0.4e9)),
        "a slow disk" => Line() with { DiskBytesPerSecond = 40e6 },
        "disk and network about equal" => Line() with { DiskBytesPerSecond = 0.9 * Gbit },
        "network just below the disk" => Line() with { DiskBytesPerSecond = 1.0 * Gbit },
        "slow hashing" => Line() with { HashBytesPerSecond = 50e6 },
        "nothing stands out" => Measured(0.5, Up(1, 0.3e9), Up(4, 0.32e9), Down(1, 0.3e9), Down(4, 0.31e9)),
        "nothing was moved" => Measured(0.5, Up(1, 0), Up(4, 0), Down(1, 0), Down(4, 0)),
        _ => throw new ArgumentOutOfRangeException(nameof(situation), situation, null),
    };

    private static BenchMeasurement Line() => Measured(
        1, Up(1, 0.94 * Gbit) with { WaitingForPath = 0.9 }, Up(4, 0.95 * Gbit) with { WaitingForPath = 0.95 },
        Down(1, 0.94 * Gbit) with { WaitingForBytes = 0.9 }, Down(4, 0.95 * Gbit) with { WaitingForBytes = 0.95 });

    private static BenchMeasurement Measured(double milliseconds, params BenchRun[] runs) =>
        new(TimeSpan.FromMilliseconds(milliseconds), 8, 20e9, 4e9, null, runs);

    private static BenchRun Up(int connections, double bytesPerSecond) =>
        _idle with { Connections = connections, Bytes = (long)(3 * bytesPerSecond) };

    private static BenchRun Down(int connections, double bytesPerSecond) =>
        Up(connections, bytesPerSecond) with { Direction = PerfDirection.Download };

    private static BenchRun Busy(BenchRun run) => run with { Cores = 0.96, MachineBusy = 0.98, CipherPart = 0.61 };

    private static BenchRun Untold(BenchRun run) =>
        run with { MachineBusy = null, SendBufferLimited = null, ReceiveWindowLimited = null, LoadedRoundTrip = null, Repeated = null };
}
