namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>A bounded number of bytes that many share; optionally part of a larger budget. Thread-safe, lock-free.</summary>
/// <param name="limit">How many bytes may be taken at once.</param>
/// <param name="parent">
/// The budget that every byte is taken from as well, along with others who do not know each other: each may hold as much as it leaves to all
/// the rest. So however many hold all they can get, something is left for one that comes later.
/// </param>
internal sealed class ByteBudget(long limit, ByteBudget? parent = null)
{
    private long _used; // interlocked

    /// <summary>Bytes taken and not returned.</summary>
    public long Used => Interlocked.Read(ref _used);

    /// <summary>How many bytes may be taken at once.</summary>
    public long Limit => limit;

    /// <summary>Takes <paramref name="bytes"/>, or nothing at all.</summary>
    public bool TryTake(long bytes)
    {
        long held = Interlocked.Add(ref _used, bytes);
        if (held <= limit && (parent is null || parent.TryTakeFor(held, bytes))) return true;
        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    /// <summary>Takes for one of several, who then has <paramref name="held"/>.</summary>
    private bool TryTakeFor(long held, long bytes)
    {
        if (held <= limit - Interlocked.Add(ref _used, bytes)) return true;
        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    /// <summary>Gives back what was taken.</summary>
    public void Return(long bytes)
    {
        Interlocked.Add(ref _used, -bytes);
        parent?.Return(bytes);
    }
}
