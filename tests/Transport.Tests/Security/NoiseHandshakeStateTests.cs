using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using V = FastShare.Transport.Tests.Security.NoiseVectors;

namespace FastShare.Transport.Tests.Security;

public sealed class NoiseHandshakeStateTests
{
    private static byte[] Hex(string hex) => Convert.FromHexString(hex);

    private static NoiseKeyPair Key(string hex) => NoiseKeyPair.FromPrivate(Hex(hex));

    private static NoiseHandshakeState Initiator(NoiseSuite suite, string prologue = "") => new(
        suite, ConnectionRole.Dialer, Key(V.InitiatorStatic), Key(V.InitiatorEphemeral), Hex(prologue));

    private static NoiseHandshakeState Responder(NoiseSuite suite, string prologue = "") => new(
        suite, ConnectionRole.Listener, Key(V.ResponderStatic), Key(V.ResponderEphemeral), Hex(prologue));

    private static byte[] Write(NoiseHandshakeState state, string payload)
    {
        byte[] message = new byte[1024];
        return message[..state.WriteMessage(Hex(payload), message)];
    }

    private static string Read(NoiseHandshakeState state, byte[] message)
    {
        byte[] payload = new byte[1024];
        return Convert.ToHexStringLower(payload.AsSpan(0, state.ReadMessage(message, payload)));
    }

    private static void Exchange(NoiseHandshakeState from, NoiseHandshakeState to, string payload, string ciphertext)
    {
        byte[] message = Write(from, payload);
        Assert.Equal(ciphertext, Convert.ToHexStringLower(message));
        Assert.Equal(payload, Read(to, message));
    }

    [Theory]
    [InlineData("/noise", V.Cacophony.HandshakeHash)]
    [InlineData("/fastshare/noise-aesgcm/1", V.AesGcm.HandshakeHash)]
    [InlineData("/fastshare/noise-aegis128l/1", V.Aegis.HandshakeHash)]
    public void The_published_vectors_come_out_byte_for_byte(string protocol, string handshakeHash)
    {
        NoiseSuite suite = SecurityFixture.Suite(protocol);
        string[] ciphertexts = protocol switch
        {
            "/noise" => V.Cacophony.Ciphertexts,
            "/fastshare/noise-aesgcm/1" => V.AesGcm.Ciphertexts,
            _ => V.Aegis.Ciphertexts,
        };
        using NoiseHandshakeState initiator = Initiator(suite, V.Cacophony.Prologue);
        using NoiseHandshakeState responder = Responder(suite, V.Cacophony.Prologue);
        Exchange(initiator, responder, V.Cacophony.Payloads[0], ciphertexts[0]);
        Exchange(responder, initiator, V.Cacophony.Payloads[1], ciphertexts[1]);
        Exchange(initiator, responder, V.Cacophony.Payloads[2], ciphertexts[2]);
        Assert.Equal(handshakeHash, Convert.ToHexStringLower(initiator.Hash));
        Assert.Equal(handshakeHash, Convert.ToHexStringLower(responder.Hash));

        (NoiseCipherState initiatorSend, NoiseCipherState initiatorReceive) = initiator.Split();
        (NoiseCipherState responderSend, NoiseCipherState responderReceive) = responder.Split();
        Transport(responderSend, initiatorReceive, 3);
        Transport(initiatorSend, responderReceive, 4);
        Transport(responderSend, initiatorReceive, 5);

        void Transport(NoiseCipherState send, NoiseCipherState receive, int index)
        {
            byte[] plaintext = Hex(V.Cacophony.Payloads[index]);
            byte[] ciphertext = new byte[plaintext.Length + send.TagLength];
            send.Seal(default, plaintext, ciphertext);
            Assert.Equal(ciphertexts[index], Convert.ToHexStringLower(ciphertext));
            byte[] opened = new byte[plaintext.Length];
            Assert.True(receive.TryOpen(default, ciphertext, opened));
            Assert.Equal(plaintext, opened);
        }
    }

    [Fact]
    public void The_libp2p_vector_comes_out_byte_for_byte()
    {
        using NoiseHandshakeState initiator = Initiator(NoiseSuite.ChaChaPoly);
        using NoiseHandshakeState responder = Responder(NoiseSuite.ChaChaPoly);
        Assert.Equal(V.NameHash, Convert.ToHexStringLower(initiator.Hash));
        Exchange(initiator, responder, "", V.Libp2p.Message1[4..]);
        Assert.Equal(V.Libp2p.HashAfterMessage1, Convert.ToHexStringLower(initiator.Hash));
        Exchange(responder, initiator, V.Libp2p.ResponderPayload, V.Libp2p.Message2[4..]);
        Assert.Equal(V.Libp2p.HashAfterMessage2, Convert.ToHexStringLower(initiator.Hash));
        Assert.Equal(V.Libp2p.HashAfterMessage2, Convert.ToHexStringLower(responder.Hash));
        Exchange(initiator, responder, V.Libp2p.InitiatorPayload, V.Libp2p.Message3[4..]);
        Assert.Equal(V.Libp2p.HandshakeHash, Convert.ToHexStringLower(initiator.Hash));
        Assert.Equal(V.Libp2p.HandshakeHash, Convert.ToHexStringLower(responder.Hash));
        Assert.Equal(V.Libp2p.ResponderStaticPublic, Convert.ToHexStringLower(initiator.RemoteStatic));
        Assert.Equal(V.Libp2p.InitiatorStaticPublic, Convert.ToHexStringLower(responder.RemoteStatic));
        (byte[] fromInitiator, byte[] fromResponder) = responder.SplitKeys();
        Assert.Equal(V.Libp2p.KeyFromInitiator, Convert.ToHexStringLower(fromInitiator));
        Assert.Equal(V.Libp2p.KeyFromResponder, Convert.ToHexStringLower(fromResponder));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Any_changed_or_missing_byte_of_a_sealed_message_is_refused(int message)
    {
        byte[][] messages = [Hex(V.Libp2p.Message1[4..]), Hex(V.Libp2p.Message2[4..]), Hex(V.Libp2p.Message3[4..])];
        int length = messages[message].Length;
        for (int at = 0; at < length; at++)
        {
            byte[] changed = (byte[])messages[message].Clone();
            changed[at] ^= 0x40; // in an ephemeral key: another key, so everything behind it fails
            AssertRefused(changed);
            AssertRefused(messages[message][..at]);
        }

        AssertRefused([.. messages[message], 0]);

        void AssertRefused(byte[] altered)
        {
            using NoiseHandshakeState initiator = Initiator(NoiseSuite.ChaChaPoly);
            using NoiseHandshakeState responder = Responder(NoiseSuite.ChaChaPoly);
            Write(initiator, "");
            Read(responder, messages[0]);
            Write(responder, V.Libp2p.ResponderPayload);
            NoiseHandshakeState reader = message == 1 ? initiator : responder;
            if (message == 2)
            {
                Read(initiator, messages[1]);
                Write(initiator, V.Libp2p.InitiatorPayload);
            }

            var error = Assert.Throws<TransportException>(() => Read(reader, altered));
            Assert.Equal(TransportError.HandshakeFailed, error.Error);
        }
    }

    [Fact]
    public void A_first_message_shorter_than_a_key_is_refused()
    {
        for (int length = 0; length < 32; length++)
        {
            using NoiseHandshakeState responder = Responder(NoiseSuite.ChaChaPoly);
            Assert.Equal(TransportError.HandshakeFailed, Assert.Throws<TransportException>(() => Read(responder, new byte[length])).Error);
        }
    }

    // The points of small order on Curve25519 and its twist, with their non-canonical forms (libsodium's list).
    public static TheoryData<string> LowOrderPoints => new(
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

    [Theory]
    [MemberData(nameof(LowOrderPoints))]
    public void An_ephemeral_key_of_low_order_is_refused_by_both_sides(string point)
    {
        using NoiseHandshakeState responder = Responder(NoiseSuite.ChaChaPoly);
        Read(responder, Hex(point)); // no key agreement yet
        var error = Assert.Throws<TransportException>(() => Write(responder, V.Libp2p.ResponderPayload));
        Assert.Equal(TransportError.HandshakeFailed, error.Error);
        Assert.Contains("low order", error.Message, StringComparison.Ordinal);

        using NoiseHandshakeState initiator = Initiator(NoiseSuite.ChaChaPoly);
        Write(initiator, "");
        error = Assert.Throws<TransportException>(() => Read(initiator, [.. Hex(point), .. Hex(V.Libp2p.Message2[68..])]));
        Assert.Contains("low order", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Calls_out_of_turn_are_refused()
    {
        using NoiseHandshakeState initiator = Initiator(NoiseSuite.ChaChaPoly);
        using NoiseHandshakeState responder = Responder(NoiseSuite.ChaChaPoly);
        Assert.Throws<InvalidOperationException>(() => Write(responder, ""));
        Assert.Throws<InvalidOperationException>(() => Read(initiator, new byte[32]));
        Assert.Throws<InvalidOperationException>(() => initiator.Split());
        Read(responder, Write(initiator, ""));
        Read(initiator, Write(responder, "00"));
        Read(responder, Write(initiator, "00"));
        Assert.True(initiator.IsComplete && responder.IsComplete);
        Assert.Throws<InvalidOperationException>(() => Write(responder, ""));
        Assert.Throws<InvalidOperationException>(() => Read(initiator, new byte[100]));
    }

    [Theory]
    [InlineData("/noise", "/fastshare/noise-aesgcm/1")]
    [InlineData("/noise", "/fastshare/noise-aegis128l/1")]
    [InlineData("/fastshare/noise-aesgcm/1", "/fastshare/noise-aegis128l/1")]
    public void Suites_do_not_mix(string first, string other)
    {
        using NoiseHandshakeState initiator = Initiator(SecurityFixture.Suite(first));
        using NoiseHandshakeState responder = Responder(SecurityFixture.Suite(other));
        Read(responder, Write(initiator, ""));
        byte[] second = Write(responder, "00");
        Assert.Equal(TransportError.HandshakeFailed, Assert.Throws<TransportException>(() => Read(initiator, second)).Error);
    }
}
