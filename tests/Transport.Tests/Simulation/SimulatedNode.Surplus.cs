using FastShare.Transport.Protocols.Internal;

namespace FastShare.Transport.Tests.Simulation;

// What the swarm does about connections that both sides dialed at once: the real rule, and a driver like the swarm's.
internal sealed partial class SimulatedNode
{
    private static readonly TimeSpan AskTimeout = 2 * SimulatedNetwork.UpgradeTimeout;

    private readonly HashSet<SimulatedEnd> _asked = []; // ends that the other side was asked about
    private readonly List<SimulatedQuestion> _questions = []; // of other sides, without an answer

    /// <summary>One of the other side's questions: may this connection go?</summary>
    private sealed record SimulatedQuestion(SimulatedEnd End, Replacement Kind, TimeSpan Until, Action<bool> Answer);

    /// <summary>Connections to a peer that may be used, lanes left out; oldest first.</summary>
    public IEnumerable<SimulatedEnd> SharedWith(SimulatedNode peer) =>
        _ends.Where(e => e is { IsLane: false, IsLive: true } && e.Remote == peer);

    private readonly bool _closesItsOwn; // a fault

    // A connection was listed: some of those that this side dialed may be surplus, and questions may find their answer.
    private void RetireSurplus(SimulatedNode peer)
    {
        foreach (SimulatedQuestion question in _questions.ToArray()) TryYield(question);
        List<SimulatedEnd> usable = [.. SharedWith(peer)];
        if (_closesItsOwn && usable.Exists(e => e.IsInbound))
        {
            foreach (SimulatedEnd own in usable.Where(e => !e.IsInbound)) World.Network.Close(own);
            return;
        }

        foreach (SimulatedEnd end in usable)
        {
            if (Retirement.FindSuccessor(Id, end, usable) is null || !_asked.Add(end)) continue;
            // The other side must have identified itself.
            World.Time.Plan(2 * end.Connection.Delay + World.Jitter(), "ask about surplus", () => Ask(end));
        }
    }

    private void Ask(SimulatedEnd end)
    {
        if (end.IsOver || IsClosed || Retirement.FindSuccessor(Id, end, [.. SharedWith(end.Remote)]) is not { } successor) return;
        Replacement kind = successor.IsInbound ? Replacement.DialedByYou : Replacement.DialedByMe;
        World.Trace.Write($"{this} asks whether {end} may go for {successor}");
        TimeSpan until = World.Time.Now + AskTimeout;
        World.Time.Plan(end.Connection.Delay, "surplus question", () =>
        {
            if (!end.Connection.Carries || end.Other.IsOver) return;
            end.Remote.Hear(end.Other, kind, agreed => World.Time.Plan(end.Connection.Delay, "surplus answer", () =>
            {
                if (agreed && !end.IsOver && !IsClosed && end.Connection.Carries && World.Time.Now < until) Retire(end, successor);
            }));
        });
    }

    private void Hear(SimulatedEnd end, Replacement kind, Action<bool> answer)
    {
        var question = new SimulatedQuestion(end, kind, World.Time.Now + SimulatedNetwork.UpgradeTimeout, answer);
        _questions.Add(question);
        TryYield(question);
        if (!_questions.Contains(question)) return;
        World.Time.Plan(SimulatedNetwork.UpgradeTimeout, "surplus question ends", () =>
        {
            if (_questions.Remove(question)) answer(false);
        });
    }

    private void TryYield(SimulatedQuestion question)
    {
        if (question.End.IsOver)
        {
            _questions.Remove(question);
            return;
        }

        List<SimulatedEnd> usable = [.. SharedWith(question.End.Remote)];
        if (Retirement.FindReplacement(Id, question.End, question.Kind, usable) is not { } replacement) return;
        _questions.Remove(question);
        World.Trace.Write($"{this} gives up {question.End} for {replacement}");
        question.End.Successor = replacement;
        question.End.IsLive = false;
        Touch();
        question.Answer(true);
    }

    // What was to be kept may have gone meanwhile; the other side opens no more streams here all the same.
    private void Retire(SimulatedEnd end, SimulatedEnd successor)
    {
        end.Successor = Retirement.FindSuccessor(Id, end, [.. SharedWith(end.Remote)]) ?? successor;
        end.IsLive = false;
        Touch();
        World.See("a surplus connection that is retired");
        World.Trace.Write($"{this} retires {end} for {end.Successor}");
        CloseIfUnused(end);
    }

    /// <summary>An exchange on a connection is over: if it is a surplus one, it may close.</summary>
    public void CloseIfUnused(SimulatedEnd end)
    {
        if (end.IsOver || end.IsInbound || end.Successor is null || end.Exchanges.Count + end.Other.Exchanges.Count > 0) return;
        World.Time.Plan(end.Connection.Delay, "surplus closes", () =>
        {
            if (!end.IsOver) World.Network.Close(end);
        });
    }
}
