namespace FastShare.Testing;

/// <summary>Measures what a piece of synchronous code allocates on its thread.</summary>
internal static class Allocation
{
    /// <summary>
    /// The least that 200 calls allocated, in bytes, over five windows. A collection that another test causes throws away the rest of
    /// this thread's allocation context and counts it as used, now and then; what the code itself allocates shows in every window.
    /// </summary>
    public static long Least(Action call)
    {
        long least = long.MaxValue;
        for (int window = 0; window < 5; window++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 200; i++) call();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
