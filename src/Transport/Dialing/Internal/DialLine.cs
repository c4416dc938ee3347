namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// How many dials are under way, and the line of those that wait until one more may be: first come, first served. Guarded by the
/// lock of its <see cref="PendingConnections{TConnection}"/>.
/// </summary>
internal sealed class DialLine<TConnection>(ConnectionLimits limits)
    where TConnection : class
{
    private readonly LinkedList<PendingDial<TConnection>> _line = [];
    private int _underWay;

    /// <summary>Dials that stand in line.</summary>
    public int Count => _line.Count;

    /// <summary>Lets the dial go, or gives it a place in the line: its driver is woken when it should ask again.</summary>
    public bool TryGo(PendingDial<TConnection> dial)
    {
        bool isNext = _line.First is null || _line.First == dial.Place;
        if (!limits.IsExempt(dial.Peer) && (_underWay >= limits.PendingOutbound || !isNext))
        {
            dial.Place ??= _line.AddLast(dial);
            return false;
        }

        StepOut(dial);
        _underWay++;
        CallNext();
        return true;
    }

    /// <summary>The dial is over, whether it ever got under way or not.</summary>
    public void Leave(PendingDial<TConnection> dial)
    {
        StepOut(dial);
        if (dial.Stage == DialStage.UnderWay) _underWay--;
        CallNext();
    }

    private void StepOut(PendingDial<TConnection> dial)
    {
        if (dial.Place is not { } place) return;
        dial.Place = null;
        _line.Remove(place);
    }

    private void CallNext() => _line.First?.Value.Changed.Set();
}
