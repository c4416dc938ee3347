using BenchmarkDotNet.Attributes;
using FastShare.Transport.Buffers;
using FastShare.Transport.Security.Internal;

namespace FastShare.Benchmarks;

/// <summary>Sealing and opening one bulk frame (12-byte header, 128 KiB payload), as the channel does it. No allocation is expected.</summary>
[MemoryDiagnoser]
public class NoiseBenchmarks
{
    private const int Payload = 128 << 10;

    private readonly byte[] _header = new byte[12];
    private readonly byte[] _payload = new byte[Payload];
    private readonly byte[] _opened = new byte[Payload + 12];
    private NoiseRecordSealer _sealer = null!;
    private NoiseRecordSealer _roundTripSealer = null!;
    private NoiseRecordOpener _opener = null!;

    /// <summary>The cipher, by its Noise name.</summary>
    [Params("AEGIS128L", "AESGCM", "ChaChaPoly")]
    public string Cipher { get; set; } = "";

    [GlobalSetup]
    public void SetUp()
    {
        new Random(1).NextBytes(_payload);
        _sealer = new NoiseRecordSealer(State(), BlockPool.Shared);
        _roundTripSealer = new NoiseRecordSealer(State(), BlockPool.Shared);
        _opener = new NoiseRecordOpener(State(), BlockPool.Shared);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        _sealer.Dispose();
        _roundTripSealer.Dispose();
        _opener.Dispose();
    }

    [Benchmark]
    public int Seal() => Seal(_sealer).Length;

    /// <summary>Sealing, copying to the receive buffer and opening; what opening costs is the difference.</summary>
    [Benchmark]
    public int SealCopyAndOpen()
    {
        ReadOnlyMemory<byte> wire = Seal(_roundTripSealer);
        int opened = 0;
        while (opened < _opened.Length)
        {
            int count = _opener.Read(_opened.AsSpan(opened));
            opened += count;
            if (count > 0) continue;
            Memory<byte> free = _opener.GetReceiveMemory();
            int received = Math.Min(free.Length, wire.Length);
            wire[..received].CopyTo(free);
            wire = wire[received..];
            _opener.Received(received);
        }

        return opened;
    }

    private NoiseCipherState State()
    {
        NoiseSuite suite = Cipher switch { "AEGIS128L" => NoiseSuite.Aegis, "AESGCM" => NoiseSuite.AesGcm, _ => NoiseSuite.ChaChaPoly };
        return new NoiseCipherState(suite.CreateAead(new byte[NoiseAead.KeyLength]));
    }

    private ReadOnlyMemory<byte> Seal(NoiseRecordSealer sealer)
    {
        sealer.Reset();
        sealer.Write(_header);
        sealer.Write(_payload);
        return sealer.Finish();
    }
}
