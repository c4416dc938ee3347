namespace FastShare.Transfer.Scheduling;

/// <summary>A chunk on its way.</summary>
internal readonly record struct SentChunk(uint FileId, long Index, int Length);

/// <summary>
/// What one lane has sent and the receiver has not confirmed: what is to be sent again when the lane is lost. Holds no content; a stream's
/// window bounds it. Thread-safe.
/// </summary>
internal sealed class SentChunks
{
    private readonly Lock _gate = new();
    private readonly Queue<SentChunk> _open = []; // guarded by _gate
    private long _confirmed; // guarded by _gate

    /// <summary>Chunks sent and not confirmed.</summary>
    public int Open
    {
        get
        {
            lock (_gate) return _open.Count;
        }
    }

    /// <summary>Chunks that the receiver has taken.</summary>
    public long Confirmed
    {
        get
        {
            lock (_gate) return _confirmed;
        }
    }

    /// <summary>A chunk goes out now, behind all others.</summary>
    public void Add(SentChunk chunk)
    {
        lock (_gate) _open.Enqueue(chunk);
    }

    /// <summary>Chunks go out now, in this order, behind all others.</summary>
    public void Add(IReadOnlyList<SentChunk> chunks)
    {
        lock (_gate)
        {
            for (int i = 0; i < chunks.Count; i++) _open.Enqueue(chunks[i]);
        }
    }

    /// <summary>The receiver has taken this many of the lane's chunks in all.</summary>
    /// <returns>False: that is fewer than it has said before, or more than were sent.</returns>
    public bool Confirm(long taken)
    {
        lock (_gate)
        {
            if (taken < _confirmed || taken - _confirmed > _open.Count) return false;
            for (; _confirmed < taken; _confirmed++) _open.Dequeue();
            return true;
        }
    }

    /// <summary>What is not confirmed, in the order of sending. The lane is over.</summary>
    public IReadOnlyList<SentChunk> TakeOpen()
    {
        lock (_gate)
        {
            SentChunk[] open = [.. _open];
            _open.Clear();
            return open;
        }
    }
}
