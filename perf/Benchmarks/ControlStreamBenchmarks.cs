using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;
using FastShare.Transfer.Framing;

namespace FastShare.Benchmarks;

/// <summary>A control message on its whole way: queued, checked, sent by the pump, read and parsed at the other end of a pipe.</summary>
[MemoryDiagnoser]
public class ControlStreamBenchmarks
{
    private readonly Pipe _pipe = new();
    private ControlWriter _writer = null!;
    private ControlReader _reader = null!;
    private Task _pump = Task.CompletedTask;

    [GlobalSetup]
    public void SetUp()
    {
        _writer = new ControlWriter(_pipe.Writer);
        _reader = new ControlReader(_pipe.Reader);
        _pump = _writer.PumpAsync(CancellationToken.None);
    }

    [GlobalCleanup]
    public async Task CleanUp()
    {
        _writer.Finish();
        await _pump;
    }

    [Benchmark]
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))] // what is measured is the stage, not this method
    public async ValueTask<uint> PostAndRead()
    {
        _writer.Post(MessageType.FileEnd, new FileEnd(3, 40, 42));
        ControlMessage? message = await _reader.ReadAsync(CancellationToken.None);
        return FileEnd.Parse(message!.Value.Body).Id;
    }
}
