using System.Buffers;
using System.Text;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Protocols;

/// <summary>Where a negotiation stands.</summary>
internal enum MultistreamState
{
    /// <summary>It waits for the other side's next message.</summary>
    Open,

    /// <summary>A protocol was agreed on; following bytes belong to it.</summary>
    Agreed,

    /// <summary>Every proposal was refused.</summary>
    Refused,
}

/// <summary>
/// One side of multistream-select 1.0 without input or output: messages in, messages out. Not thread-safe.
/// </summary>
internal abstract class MultistreamNegotiation
{
    private protected static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private bool _headerReceived;

    /// <summary>Where it stands.</summary>
    public MultistreamState State { get; private protected set; }

    /// <summary>What was agreed on, in <see cref="MultistreamState.Agreed"/>.</summary>
    public string? Agreed { get; private protected set; }

    /// <summary>Whether something was written to the output that the driver has not sent; the driver clears it.</summary>
    public bool HasOutput { get; set; }

    /// <summary>Writes what this side says before it hears anything.</summary>
    public abstract void Begin(IBufferWriter<byte> output);

    /// <summary>Takes one message of the other side, in <see cref="MultistreamState.Open"/>, and writes the answer, if any.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/> or
    /// <see cref="TransportError.LimitExceeded"/>; the negotiation is over.</exception>
    public void Receive(ReadOnlySpan<byte> token, IBufferWriter<byte> output)
    {
        if (_headerReceived)
        {
            ReceiveMessage(token, output);
            return;
        }

        if (!token.SequenceEqual(MultistreamMessage.Header))
            throw MultistreamMessage.Violation($"expected {ProtocolIds.Multistream} from the peer, got '{Show(token)}'");
        _headerReceived = true;
        ReceiveHeader(output);
    }

    private protected abstract void ReceiveHeader(IBufferWriter<byte> output);

    private protected abstract void ReceiveMessage(ReadOnlySpan<byte> token, IBufferWriter<byte> output);

    private protected static string Show(ReadOnlySpan<byte> token) => PeerText.Escape(Encoding.UTF8.GetString(token), 64);
}

/// <summary>The side that proposes: header and first proposal at once, the next one after each refusal.</summary>
internal sealed class MultistreamDialer : MultistreamNegotiation
{
    private readonly IReadOnlyList<string> _protocols;
    private byte[] _proposal = [];
    private int _next;

    /// <summary>Begins with the first of <paramref name="protocols"/>, best first.</summary>
    public MultistreamDialer(IReadOnlyList<string> protocols)
    {
        if (protocols.Count == 0) throw new ArgumentException("there is no protocol to propose", nameof(protocols));
        _protocols = protocols;
    }

    /// <inheritdoc/>
    public override void Begin(IBufferWriter<byte> output)
    {
        MultistreamMessage.Write(output, MultistreamMessage.Header);
        Propose(output);
    }

    private protected override void ReceiveHeader(IBufferWriter<byte> output)
    {
    }

    private protected override void ReceiveMessage(ReadOnlySpan<byte> token, IBufferWriter<byte> output)
    {
        if (token.SequenceEqual(_proposal))
        {
            Agreed = _protocols[_next - 1];
            State = MultistreamState.Agreed;
        }
        else if (!token.SequenceEqual(MultistreamMessage.NotAvailable))
        {
            throw MultistreamMessage.Violation($"the peer answered '{Show(token)}' to the proposal of {_protocols[_next - 1]}");
        }
        else if (_next == _protocols.Count)
        {
            State = MultistreamState.Refused;
        }
        else
        {
            Propose(output);
        }
    }

    private void Propose(IBufferWriter<byte> output)
    {
        _proposal = Encoding.UTF8.GetBytes(_protocols[_next++]);
        MultistreamMessage.Write(output, _proposal);
        HasOutput = true;
    }
}

/// <summary>The side that answers: its header together with the first answer, an echo or <c>na</c>.</summary>
internal sealed class MultistreamListener(Func<string, bool> supports) : MultistreamNegotiation
{
    /// <summary>Proposals answered per negotiation: go, rust and js need fewer than ten; more is a peer that only costs time.</summary>
    public const int MaxProposals = 32;

    private readonly List<string> _refused = [];

    /// <summary>Proposals refused so far; text from the peer.</summary>
    public IReadOnlyList<string> Refused => _refused;

    /// <inheritdoc/>
    public override void Begin(IBufferWriter<byte> output)
    {
    }

    private protected override void ReceiveHeader(IBufferWriter<byte> output)
    {
        MultistreamMessage.Write(output, MultistreamMessage.Header);
        HasOutput = true;
    }

    private protected override void ReceiveMessage(ReadOnlySpan<byte> token, IBufferWriter<byte> output)
    {
        string protocol = Decode(token);
        HasOutput = true;
        // Only ids start with a slash; "ls" is optional and answered as go does.
        if (protocol.StartsWith('/') && supports(protocol))
        {
            MultistreamMessage.Write(output, token);
            Agreed = protocol;
            State = MultistreamState.Agreed;
            return;
        }

        if (_refused.Count == MaxProposals)
            throw new TransportException(
                TransportError.LimitExceeded, $"the peer proposed more than {MaxProposals} protocols, none of them supported here");
        _refused.Add(protocol);
        MultistreamMessage.Write(output, MultistreamMessage.NotAvailable);
    }

    private static string Decode(ReadOnlySpan<byte> token)
    {
        try
        {
            return StrictUtf8.GetString(token);
        }
        catch (DecoderFallbackException e)
        {
            throw new TransportException(TransportError.ProtocolViolation, "the peer proposed a protocol whose name is not UTF-8", e);
        }
    }
}
