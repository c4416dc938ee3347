namespace FastShare.Transport.Security.Internal;

/// <summary>
/// Guards one direction of a channel: at most one call inside, and its buffers go back exactly once, by whoever is last: the call
/// that was inside when the channel was disposed, or the disposer. A mutable struct: keep it in a field that is not readonly.
/// </summary>
internal struct DirectionGate
{
    private const int Idle = 0, Busy = 1, ClosedIdle = 2, ClosedBusy = 3;

    private int _state; // interlocked

    /// <summary>Whether <see cref="Close"/> was called.</summary>
    public bool IsClosed => Volatile.Read(ref _state) >= ClosedIdle;

    /// <summary>Begins a call.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ConnectionClosed"/>: disposed.</exception>
    /// <exception cref="InvalidOperationException">Another call of this direction has not ended.</exception>
    public void Enter()
    {
        int state = Interlocked.CompareExchange(ref _state, Busy, Idle);
        if (state == Idle) return;
        if (state == Busy) throw new InvalidOperationException("the channel is used by two callers in one direction at once");
        throw new TransportException(TransportError.ConnectionClosed, "the channel was closed locally");
    }

    /// <summary>Ends a call. True: the channel was disposed meanwhile, and the caller must release this direction's buffers.</summary>
    public bool Exit()
    {
        if (Interlocked.CompareExchange(ref _state, Idle, Busy) == Busy) return false;
        Volatile.Write(ref _state, ClosedIdle);
        return true;
    }

    /// <summary>Lets no further call in. True: nobody is inside, and the caller must release this direction's buffers.</summary>
    public bool Close()
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state >= ClosedIdle) return false;
            if (Interlocked.CompareExchange(ref _state, state == Idle ? ClosedIdle : ClosedBusy, state) == state) return state == Idle;
        }
    }
}
