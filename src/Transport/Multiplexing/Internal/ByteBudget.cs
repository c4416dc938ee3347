namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>A bounded number of bytes that many share; optionally part of a larger budget. Thread-safe, lock-free.</summary>
/// <param name="limit">How many bytes may be taken at once.</param>
/// <param name="parent">The budget that every byte is taken from as well.</param>
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
        if (Interlocked.Add(ref _used, bytes) > limit || (parent is not null && !parent.TryTake(bytes)))
        {
            Interlocked.Add(ref _used, -bytes);
            return false;
        }

        return true;
    }

    /// <summary>Gives back what was taken.</summary>
    public void Return(long bytes)
    {
        Interlocked.Add(ref _used, -bytes);
        parent?.Return(bytes);
    }
}
