using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;
using FastShare.Testing.Multiplexing;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Benchmarks;

/// <summary>Two whole yamux sessions over a pipe in memory: frames, credit, both loops. Writing and reading allocate nothing.</summary>
[MemoryDiagnoser]
public class YamuxBenchmarks
{
    private readonly byte[] _payload = new byte[128 << 10];
    private YamuxConnection _near = null!;
    private YamuxConnection _far = null!;
    private IMuxedStream _output = null!;
    private IMuxedStream _input = null!;

    [GlobalSetup]
    public async Task SetUp()
    {
        (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair(checkChanges: false);
        _near = new YamuxConnection(left, ConnectionRole.Dialer, new YamuxOptions(), TimeProvider.System, NullLogger.Instance);
        _far = new YamuxConnection(right, ConnectionRole.Listener, new YamuxOptions(), TimeProvider.System, NullLogger.Instance);
        _near.Start();
        _far.Start();
        _output = await _near.OpenStreamAsync(CancellationToken.None);
        _input = (await _far.AcceptStreamAsync(CancellationToken.None))!;
    }

    [GlobalCleanup]
    public async Task CleanUp()
    {
        await _near.DisposeAsync();
        await _far.DisposeAsync();
    }

    /// <summary>128 KiB written to one session and read from the other.</summary>
    [Benchmark]
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))] // what is measured is the stage, not this method
    public async ValueTask<long> WriteAndRead()
    {
        ValueTask<FlushResult> writing = _output.Output.WriteAsync(_payload);
        long left = _payload.Length;
        while (left > 0)
        {
            ReadResult result = await _input.Input.ReadAsync();
            left -= result.Buffer.Length;
            _input.Input.AdvanceTo(result.Buffer.End);
        }

        await writing;
        return left;
    }

    /// <summary>A stream of its own for 1 KiB there and 1 KiB back, as a request has.</summary>
    [Benchmark]
    public async ValueTask<long> OpenExchangeAndClose()
    {
        await using IMuxedStream own = await _near.OpenStreamAsync(CancellationToken.None);
        await own.Output.WriteAsync(_payload.AsMemory(0, 1024));
        await own.Output.CompleteAsync();
        await using IMuxedStream theirs = (await _far.AcceptStreamAsync(CancellationToken.None))!;
        await ReadToEndAsync(theirs.Input);
        await theirs.Output.WriteAsync(_payload.AsMemory(0, 1024));
        await theirs.Output.CompleteAsync();
        return await ReadToEndAsync(own.Input);
    }

    private static async ValueTask<long> ReadToEndAsync(PipeReader input)
    {
        long bytes = 0;
        while (true)
        {
            ReadResult result = await input.ReadAsync();
            bytes += result.Buffer.Length;
            input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted) return bytes;
        }
    }
}
