namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// What a connection is in use for, as one number, and since when it has been in use for nothing. Guarded by the connection's gate;
/// times are since the connection's start.
/// </summary>
internal sealed class UseCount
{
    private int _uses;
    private TimeSpan _idleSince;

    /// <summary>How much uses the connection.</summary>
    public int Count => _uses;

    /// <summary>Whether anything does.</summary>
    public bool IsUsed => _uses > 0;

    /// <summary>Since when nothing has used the connection; null: something does.</summary>
    public TimeSpan? IdleSince => _uses > 0 ? null : _idleSince;

    public void Enter() => _uses++;

    /// <summary>A use has ended.</summary>
    public void Leave(TimeSpan now)
    {
        _uses--;
        _idleSince = now;
    }

    /// <summary>What looked like a use was none: the connection counts as idle since before it.</summary>
    public void Disregard() => _uses--;

    /// <summary>Somebody is about to use the connection: its idle time begins anew.</summary>
    public void Touch(TimeSpan now) => _idleSince = now;
}
