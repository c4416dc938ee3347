using System.Buffers;
using BenchmarkDotNet.Attributes;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Verification;
using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Benchmarks;

/// <summary>Headers, messages and digests: what each frame and chunk costs beside its cipher. No allocation is expected.</summary>
[MemoryDiagnoser]
public class FramingBenchmarks
{
    private readonly byte[] _yamux = new byte[YamuxHeader.Size];
    private readonly byte[] _chunk = new byte[ChunkHeader.Size];
    private readonly byte[] _payload = new byte[1 << 20];
    private readonly ArrayBufferWriter<byte> _message = new(256);

    [GlobalSetup]
    public void SetUp() => new Random(1).NextBytes(_payload);

    [Benchmark]
    public uint YamuxHeaderRoundTrip()
    {
        new YamuxHeader(FrameType.Data, default, 7, 131072).Write(_yamux);
        return YamuxHeader.Read(_yamux, out YamuxHeader header) is null ? header.Length : 0;
    }

    [Benchmark]
    public int ChunkHeaderRoundTrip()
    {
        new ChunkHeader(3, ChunkFlags.None, 5L << 20, 1 << 20, 42).Write(_chunk);
        return ChunkHeader.Parse(_chunk).Length;
    }

    /// <summary>The message that ends each file of several chunks, written and parsed.</summary>
    [Benchmark]
    public long ControlMessageRoundTrip()
    {
        _message.ResetWrittenCount();
        new FileEnd(3, 40, 42).Write(_message);
        return FileEnd.Parse(new ReadOnlySequence<byte>(_message.WrittenMemory)).Chunks;
    }

    /// <summary>XXH128 of one chunk of 1 MiB.</summary>
    [Benchmark]
    public UInt128 ChunkDigest() => Digester.Of(_payload);
}
