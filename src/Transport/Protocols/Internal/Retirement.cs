using FastShare.Transport.Identity;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>What takes the place of a surplus connection; on the wire as one byte.</summary>
internal enum Replacement : byte
{
    /// <summary>One that the side which is asked had dialed.</summary>
    DialedByYou = 1,

    /// <summary>Another one that the side which asks had dialed.</summary>
    DialedByMe = 2,
}

/// <summary>What the rule about surplus connections has to know of one.</summary>
internal interface IDialedConnection
{
    PeerId Peer { get; }

    /// <summary>Whether the remote side dialed.</summary>
    bool IsInbound { get; }

    /// <summary>Whether its dialer asked for it beside others.</summary>
    bool IsExtra { get; }
}

/// <summary>
/// Which of several connections between two peers is surplus, and how both sides agree on it (<see cref="ProtocolIds.Retire"/>).
/// </summary>
/// <remarks>
/// <para>Of two connections that both sides dialed at the same time, the one dialed by the peer with the smaller id is kept; of
/// several that one side dialed, the oldest. Only the dialer of a connection retires it: the other side cannot know whether it was
/// asked for as an extra one. Since the preference is one order, no two connections are ever retired in favour of each other.</para>
/// <para>The dialer opens a stream on the surplus connection and sends one byte, its <see cref="Replacement"/>. The other side
/// makes sure that it has such a connection as well, opens no more streams on the surplus one, and answers 1; or 0, and all stays
/// as it is. The answer is behind everything that it had opened, so the dialer then knows every stream, lets them end, and closes.
/// A peer that does not know the protocol keeps both connections.</para>
/// </remarks>
internal static class Retirement
{
    private const byte Yes = 1;
    private const byte No = 0;

    /// <summary>What this side should keep instead of a connection that it dialed; null: the connection is not surplus.</summary>
    /// <param name="local">This side.</param>
    /// <param name="connection">A connection that this side dialed.</param>
    /// <param name="usable">Every connection to the peer that takes streams, oldest first.</param>
    public static TConnection? FindSuccessor<TConnection>(PeerId local, TConnection connection, IReadOnlyList<TConnection> usable)
        where TConnection : class, IDialedConnection
    {
        if (connection.IsInbound || connection.IsExtra || !usable.Contains(connection)) return null;
        if (IsSmaller(connection.Peer, local) && usable.FirstOrDefault(other => other.IsInbound) is { } theirs) return theirs;
        TConnection oldest = usable.First(other => !other.IsInbound);
        return oldest == connection ? null : oldest;
    }

    /// <summary>What this side would use instead of a connection that the other side dialed and wants to retire; null: nothing.</summary>
    public static TConnection? FindReplacement<TConnection>(
        PeerId local, TConnection connection, Replacement kind, IReadOnlyList<TConnection> usable)
        where TConnection : class, IDialedConnection
    {
        if (!connection.IsInbound || (kind == Replacement.DialedByYou && !IsSmaller(local, connection.Peer))) return null;
        return usable.FirstOrDefault(other => other != connection && other.IsInbound == (kind == Replacement.DialedByMe));
    }

    /// <summary>Asks the other side; true: it agrees, and has opened its last stream on this connection.</summary>
    public static async ValueTask<bool> AskAsync(PeerStream stream, Replacement kind, CancellationToken cancellationToken)
    {
        await stream.Output.WriteAsync(new[] { (byte)kind }, cancellationToken).ConfigureAwait(false);
        await stream.Output.CompleteAsync().ConfigureAwait(false);
        byte[] answer = new byte[1];
        return await StreamEnd.ReadExactlyAsync(stream.Input, answer, "the answer about a surplus connection", cancellationToken)
            .ConfigureAwait(false) && answer[0] == Yes;
    }

    /// <summary>Reads what the other side asks; null: something unknown, to be declined.</summary>
    public static async ValueTask<Replacement?> ReadAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        byte[] kind = new byte[1];
        await StreamEnd.ReadExactlyAsync(stream.Input, kind, "the question about a surplus connection", cancellationToken)
            .ConfigureAwait(false);
        return (Replacement)kind[0] is var known and (Replacement.DialedByYou or Replacement.DialedByMe) ? known : null;
    }

    /// <summary>Answers.</summary>
    public static async ValueTask AnswerAsync(PeerStream stream, bool agreed, CancellationToken cancellationToken) =>
        await stream.Output.WriteAsync(new[] { agreed ? Yes : No }, cancellationToken).ConfigureAwait(false);

    private static bool IsSmaller(PeerId a, PeerId b) => a.Bytes.SequenceCompareTo(b.Bytes) < 0;
}
