using System.Threading.Channels;
using BenchmarkDotNet.Attributes;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transport.Buffers;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Benchmarks;

/// <summary>
/// A chunk's way from the stage that reads to the lane that sends: memory budget, block, recycled work item, bounded channel. The
/// bytes themselves are not touched. Allocates nothing while neither side waits.
/// </summary>
[MemoryDiagnoser]
public class SchedulingBenchmarks
{
    private const int Length = 1 << 20, Queued = 16;

    private readonly Channel<ChunkWork> _chunks = Channel.CreateBounded<ChunkWork>(new BoundedChannelOptions(Queued));
    private readonly ObjectPool<ChunkWork> _works = ChunkWork.CreatePool();
    private readonly MemoryBudget _budget = new(Queued * Length);
    private readonly BlockPool _blocks = BlockPool.Shared;

    /// <summary>One chunk at a time.</summary>
    [Benchmark]
    public async ValueTask HandOff()
    {
        await PutAsync();
        Take();
    }

    /// <summary>A full queue, then an empty one.</summary>
    [Benchmark(OperationsPerInvoke = Queued)]
    public async ValueTask HandOffQueued()
    {
        for (int i = 0; i < Queued; i++) await PutAsync();
        for (int i = 0; i < Queued; i++) Take();
    }

    private async ValueTask PutAsync()
    {
        await _budget.TakeAsync(Length, CancellationToken.None);
        ChunkWork work = _works.Get();
        work.Set(new ChunkHeader(3, ChunkFlags.None, 0, Length, 42), 0, _blocks.Rent(Length), _budget, Length);
        await _chunks.Writer.WriteAsync(work);
    }

    private void Take()
    {
        if (!_chunks.Reader.TryRead(out ChunkWork? work)) throw new InvalidOperationException("a chunk was lost");
        _works.Return(work);
    }
}
