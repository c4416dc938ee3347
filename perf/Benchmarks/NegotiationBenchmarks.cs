using BenchmarkDotNet.Attributes;
using FastShare.Testing.Multiplexing;
using FastShare.Transport.Protocols;

namespace FastShare.Benchmarks;

/// <summary>multistream-select, both sides, over a pipe in memory. Happens once a connection or stream, never per frame.</summary>
[MemoryDiagnoser]
public class NegotiationBenchmarks
{
    private static readonly string[] _proposals = [ProtocolIds.NoiseAegis, ProtocolIds.Noise];
    private readonly (MemoryByteChannel Dialer, MemoryByteChannel Listener) _channels = MemoryByteChannel.CreatePair(checkChanges: false);

    /// <summary>The first proposal is taken.</summary>
    [Benchmark]
    public Task<string> Agree() => NegotiateAsync(ProtocolIds.NoiseAegis);

    /// <summary>The first proposal is refused, the second one taken.</summary>
    [Benchmark]
    public Task<string> AgreeOnTheSecond() => NegotiateAsync(ProtocolIds.Noise);

    private async Task<string> NegotiateAsync(string supported)
    {
        ValueTask<string?> answering = Multistream.RespondAsync(
            _channels.Listener, new MultistreamListener(proposal => proposal == supported), CancellationToken.None);
        string agreed = await Multistream.SelectAsync(_channels.Dialer, _proposals, CancellationToken.None);
        await answering;
        return agreed;
    }
}
