using System.Runtime.Intrinsics.X86;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Sockets;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// Makes a bare connection a secured one whose multiplexer is agreed on: security negotiation, handshake, multiplexer negotiation,
/// under one deadline. Thread-safe.
/// </summary>
internal sealed class ConnectionUpgrader
{
    private const string WayOut = "start both with it or both without it";

    private static readonly string[] Muxers = [ProtocolIds.Yamux];

    private readonly SwarmOptions _options;
    private readonly BlockPool? _pool;
    private readonly ISecurityProtocol[] _accepted;
    private readonly string[] _offered;

    /// <summary>An upgrader for one node.</summary>
    /// <param name="options">Identity, security mode, deadline and clock.</param>
    /// <param name="pool">Where the channels' blocks come from.</param>
    /// <param name="fast">Suites faster than the common one, the fastest first; null: what the processor has instructions for.</param>
    public ConnectionUpgrader(SwarmOptions options, BlockPool? pool = null, IReadOnlyList<NoiseSuite>? fast = null)
    {
        _options = options;
        _pool = pool;
        if (options.Security == SecurityMode.InsecurePlaintext)
        {
            _accepted = [new PlaintextProtocol(options.Identity)];
            _offered = [ProtocolIds.Plaintext];
            return;
        }

        IEnumerable<NoiseSuite> faster = (fast ?? SuitesOfProcessor)
            .Where(suite => options.Security != SecurityMode.NoiseAesGcm || suite == NoiseSuite.AesGcm);
        NoiseSuite[] suites = [.. faster, NoiseSuite.ChaChaPoly];
        _accepted = [.. suites.Select(suite => new NoiseProtocol(options.Identity, suite, pool))];
        // The fastest and the common one: each that a peer does not know costs a round trip.
        _offered = [.. suites.Select(suite => suite.ProtocolId).Take(1).Union([ProtocolIds.Noise])];
    }

    // Without AES instructions both are slower than ChaCha20-Poly1305, and on some processors not constant in time. libsodium's AEGIS
    // asks for AVX, too.
    private static IReadOnlyList<NoiseSuite> SuitesOfProcessor { get; } =
        ArmAes.IsSupported || (X86Aes.IsSupported && HasAvx) ? [NoiseSuite.Aegis, NoiseSuite.AesGcm]
        : X86Aes.IsSupported && Pclmulqdq.IsSupported ? [NoiseSuite.AesGcm]
        : [];

    // Asked of the processor itself: Avx.IsSupported says what the compiler may use, which ahead of time is less than there is.
    private static bool HasAvx
    {
        get
        {
            const int OsSavesState = 1 << 27, Avx = 1 << 28; // CPUID.01H:ECX
            return X86Base.IsSupported && (X86Base.CpuId(1, 0).Ecx & (OsSavesState | Avx)) == (OsSavesState | Avx);
        }
    }

    /// <summary>Upgrades <paramref name="connection"/>, which it takes over: on failure it is aborted and disposed.</summary>
    /// <param name="connection">A fresh connection.</param>
    /// <param name="role">This side's role.</param>
    /// <param name="expectedPeer">The peer that was dialed; null when any is welcome.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="TransportException">It failed; the message names address, peer and stage.</exception>
    public async ValueTask<SecuredChannel> UpgradeAsync(
        IDuplexConnection connection, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(_options.UpgradeTimeout, _options.TimeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        var attempt = new Attempt(new PlainChannel(connection, _pool, _options.TimeProvider), role, expectedPeer);
        try
        {
            return await RunAsync(attempt, linked.Token).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            attempt.Channel.Abort();
            await attempt.Channel.DisposeAsync().ConfigureAwait(false);
            if (e is OperationCanceledException && cancellationToken.IsCancellationRequested) throw;
            throw Describe(e, attempt, connection.RemoteAddress);
        }
    }

    private async Task<SecuredChannel> RunAsync(Attempt attempt, CancellationToken cancellationToken)
    {
        ISecurityProtocol security = attempt.Role == ConnectionRole.Dialer
            ? await SelectSecurityAsync(attempt.Channel, cancellationToken).ConfigureAwait(false)
            : await RespondSecurityAsync(attempt.Channel, cancellationToken).ConfigureAwait(false);
        attempt.Stage = $"the {security.ProtocolId} handshake";
        SecuredChannel secured = await security.HandshakeAsync(
            attempt.Channel, attempt.Role, attempt.Peer, cancellationToken).ConfigureAwait(false);
        attempt.Channel = secured.Channel;
        attempt.Peer = secured.RemotePeer;
        if (secured.Muxer is not null) return secured;
        attempt.Stage = "multiplexer negotiation";
        return secured with { Muxer = await NegotiateMuxerAsync(attempt, cancellationToken).ConfigureAwait(false) };
    }

    private async ValueTask<ISecurityProtocol> SelectSecurityAsync(IByteChannel channel, CancellationToken cancellationToken)
    {
        try
        {
            string agreed = await Multistream.SelectAsync(channel, _offered, cancellationToken).ConfigureAwait(false);
            return Find(agreed);
        }
        catch (TransportException e) when (e.Error == TransportError.UnsupportedProtocol)
        {
            throw new TransportException(
                TransportError.HandshakeFailed,
                _options.Security == SecurityMode.InsecurePlaintext
                    ? $"{e.Message}: this side runs with --insecure and the other does not; {WayOut}"
                    : $"{e.Message}: the other side runs with --insecure and this one does not, or it has no Noise; {WayOut}",
                e);
        }
    }

    private async ValueTask<ISecurityProtocol> RespondSecurityAsync(IByteChannel channel, CancellationToken cancellationToken)
    {
        var listener = new MultistreamListener(id => _accepted.Any(protocol => protocol.ProtocolId == id));
        TransportException? lost = null;
        try
        {
            string? agreed = await Multistream.RespondAsync(channel, listener, cancellationToken).ConfigureAwait(false);
            if (agreed is not null) return Find(agreed);
        }
        catch (TransportException e) when (
            listener.Refused.Count > 0 && e.Error is (TransportError.ConnectionReset or TransportError.ConnectionClosed))
        {
            lost = e; // a dialer that was refused may hang up hard; why is known here
        }

        if (listener.Refused.Count == 0)
            throw new TransportException(
                TransportError.ConnectionClosed, "the peer closed the connection before it proposed a security protocol");
        bool plaintextRefused = listener.Refused.Contains(ProtocolIds.Plaintext);
        string proposed = PeerText.Escape(string.Join(", ", listener.Refused));
        throw new TransportException(
            TransportError.HandshakeFailed,
            (plaintextRefused, _options.Security) switch
            {
                (true, _) => $"the peer proposed only {proposed}: it runs with --insecure and this side does not; {WayOut}",
                (_, SecurityMode.InsecurePlaintext) =>
                    $"the peer proposed only {proposed}: this side runs with --insecure and the other does not; {WayOut}",
                _ => $"the peer proposed only {proposed}, none of which is supported here",
            },
            lost);
    }

    private ISecurityProtocol Find(string id) => Array.Find(_accepted, protocol => protocol.ProtocolId == id)
        ?? throw new InvalidOperationException($"{id} was offered but is not served");

    private static async ValueTask<string> NegotiateMuxerAsync(Attempt attempt, CancellationToken cancellationToken)
    {
        if (attempt.Role == ConnectionRole.Dialer)
            return await Multistream.SelectAsync(attempt.Channel, Muxers, cancellationToken).ConfigureAwait(false);
        var listener = new MultistreamListener(id => Muxers.Contains(id));
        return await Multistream.RespondAsync(attempt.Channel, listener, cancellationToken).ConfigureAwait(false)
            ?? throw new TransportException(
                TransportError.HandshakeFailed,
                listener.Refused.Count == 0
                    ? "the peer closed the connection instead of proposing a multiplexer"
                    : $"the peer proposed only {PeerText.Escape(string.Join(", ", listener.Refused))}; this side has {ProtocolIds.Yamux}");
    }

    private TransportException Describe(Exception e, Attempt attempt, Multiaddr address)
    {
        string subject = attempt.Peer is null ? $"{address}" : $"{address} (peer {attempt.Peer})";
        return e switch
        {
            OperationCanceledException => new TransportException(
                TransportError.Timeout,
                $"securing the connection with {subject} took longer than {_options.UpgradeTimeout.TotalSeconds:0.###} s; "
                    + $"the time was spent in {attempt.Stage}",
                e)
            { Peer = attempt.Peer },
            // Of a negotiation's own errors a caller only needs that securing failed; a single protocol is nothing it asked for.
            TransportException t => new TransportException(
                t.Error is TransportError.UnsupportedProtocol or TransportError.ProtocolViolation or TransportError.LimitExceeded
                    ? TransportError.HandshakeFailed : t.Error,
                $"{attempt.Stage} with {subject} failed: {t.Message}", t)
            { Peer = t.Peer ?? attempt.Peer },
            _ => new TransportException(
                TransportError.HandshakeFailed, $"{attempt.Stage} with {subject} failed: {e.Message}", e)
            { Peer = attempt.Peer },
        };
    }

    /// <summary>How far one upgrade has come. Used by one flow at a time.</summary>
    private sealed class Attempt(IByteChannel channel, ConnectionRole role, PeerId? peer)
    {
        /// <summary>The outermost channel so far; owns the connection.</summary>
        public IByteChannel Channel { get; set; } = channel;

        public ConnectionRole Role { get; } = role;

        /// <summary>The peer dialed, then the peer proved; null while unknown.</summary>
        public PeerId? Peer { get; set; } = peer;

        public string Stage { get; set; } = "security negotiation";
    }
}
