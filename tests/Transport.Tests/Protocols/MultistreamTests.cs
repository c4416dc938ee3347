using System.Buffers;
using System.Text;
using CsCheck;
using FastShare.Testing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Tests.Identity;

namespace FastShare.Transport.Tests.Protocols;

public sealed class MultistreamTests
{
    internal const string Header = "132f6d756c746973747265616d2f312e302e300a";
    internal const string Noise = "072f6e6f6973650a";
    internal const string Tls = "0b2f746c732f312e302e300a";
    internal const string Na = "036e610a";
    private const string Ls = "036c730a";

    private static Task<string> Select(MemoryConnection connection, params string[] protocols) =>
        Multistream.SelectAsync(new PlainChannel(connection), protocols, CancellationToken.None).AsTask();

    private static Task<string?> Respond(MemoryConnection connection, params string[] protocols) =>
        Multistream.RespondAsync(
            new PlainChannel(connection), new MultistreamListener(protocols.Contains), CancellationToken.None).AsTask();

    [Theory]
    [InlineData(ProtocolIds.Multistream, Header)]
    [InlineData("na", Na)]
    [InlineData("ls", Ls)]
    [InlineData(ProtocolIds.Noise, Noise)]
    [InlineData(ProtocolIds.Yamux, "0d2f79616d75782f312e302e300a")]
    [InlineData("/tls/1.0.0", Tls)]
    [InlineData(ProtocolIds.Plaintext, "112f706c61696e746578742f322e302e300a")]
    [InlineData(ProtocolIds.Identify, "0f2f697066732f69642f312e302e300a")]
    [InlineData(ProtocolIds.IdentifyPush, "142f697066732f69642f707573682f312e302e300a")]
    [InlineData(ProtocolIds.Ping, "112f697066732f70696e672f312e302e300a")]
    [InlineData(ProtocolIds.Perf, "0c2f706572662f312e302e300a")]
    public void Messages_are_those_of_the_specification(string token, string hex)
    {
        var output = new ArrayBufferWriter<byte>();
        MultistreamMessage.Write(output, token);
        Assert.Equal(hex, Convert.ToHexStringLower(output.WrittenSpan));
        byte[] scratch = new byte[MultistreamMessage.MaxEncodedLength];
        var sequence = new ReadOnlySequence<byte>(output.WrittenMemory);
        Assert.True(MultistreamMessage.TryRead(sequence, scratch, out ReadOnlySpan<byte> read, out int consumed));
        Assert.Equal((token, hex.Length / 2), (Encoding.UTF8.GetString(read), consumed));
        for (int length = 0; length < hex.Length / 2; length++)
            Assert.False(MultistreamMessage.TryRead(sequence.Slice(0, length), scratch, out _, out _));
    }

    [Theory]
    [InlineData("00")] // empty
    [InlineData("0141")] // no newline
    [InlineData("8100")] // padded
    [InlineData("8180")] // a third byte would follow
    [InlineData("8108")] // 1025
    [InlineData("ffffffffffffffff7f")]
    public void Malformed_messages_are_refused(string hex)
    {
        var sequence = new ReadOnlySequence<byte>(Convert.FromHexString(hex));
        byte[] scratch = new byte[MultistreamMessage.MaxEncodedLength];
        var error = Assert.Throws<TransportException>(() => MultistreamMessage.TryRead(sequence, scratch, out _, out _));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public void The_longest_message_has_1024_bytes()
    {
        var output = new ArrayBufferWriter<byte>();
        string longest = "/" + new string('x', 1022);
        MultistreamMessage.Write(output, longest);
        Assert.Equal(1026, output.WrittenCount);
        Assert.True(MultistreamMessage.TryRead(
            new ReadOnlySequence<byte>(output.WrittenMemory), new byte[1026], out ReadOnlySpan<byte> token, out int consumed));
        Assert.Equal((1023, 1026), (token.Length, consumed));
        Assert.Throws<ArgumentException>(() => MultistreamMessage.Write(output, longest + "x"));
    }

    [Fact]
    public async Task Header_and_first_proposal_leave_together_and_a_refusal_brings_the_next()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<string> select = Select(left, "/tls/1.0.0", ProtocolIds.Noise);
        Assert.Equal(1, left.Sends);
        var peer = new ScriptedPeer(right);
        await peer.ExpectHexAsync(Header + Tls);
        await peer.SendHexAsync(Header + Na);
        await peer.ExpectHexAsync(Noise);
        await peer.SendHexAsync(Noise);
        Assert.Equal(ProtocolIds.Noise, await select);
        Assert.Equal(2, left.Sends);
    }

    [Fact]
    public async Task When_all_is_refused_the_error_names_what_was_asked_for()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(right).SendHexAsync(Header + Na + Na);
        var error = await Assert.ThrowsAsync<TransportException>(() => Select(left, ProtocolIds.Noise, "/tls/1.0.0"));
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Contains("/noise or /tls/1.0.0", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Noise + Header)] // no header first
    [InlineData(Header + Header)] // header twice
    [InlineData(Header + Tls)] // not what was proposed
    [InlineData(Header + "071b5b41414141 0a")] // an escape sequence
    public async Task A_wrong_answer_is_a_violation_shown_without_control_characters(string hex)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(right).SendHexAsync(hex);
        var error = await Assert.ThrowsAsync<TransportException>(() => Select(left, ProtocolIds.Noise));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
        Assert.DoesNotContain('\u001b', error.Message);
    }

    [Fact]
    public async Task An_answer_cut_short_anywhere_is_a_closed_connection()
    {
        byte[] answer = Convert.FromHexString(Header + Noise);
        for (int length = 0; length < answer.Length; length++)
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            await new ScriptedPeer(right).SendAsync(answer.AsMemory(0, length));
            right.CloseWrite();
            Assert.Equal(
                TransportError.ConnectionClosed, (await Assert.ThrowsAsync<TransportException>(() => Select(left, ProtocolIds.Noise))).Error);
        }
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    public async Task A_listener_answers_in_one_send_and_leaves_what_follows(int maxReceive)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: maxReceive);
        var channel = new PlainChannel(right);
        var peer = new ScriptedPeer(left);
        await peer.SendHexAsync(Header + Noise + "0020aabbcc"); // as a lazy rust dialer
        string? agreed = await Multistream.RespondAsync(
            channel, new MultistreamListener(id => id == ProtocolIds.Noise), CancellationToken.None);
        Assert.Equal(ProtocolIds.Noise, agreed);
        Assert.Equal(1, right.Sends);
        await peer.ExpectHexAsync(Header + Noise);
        byte[] rest = new byte[5];
        Assert.True(await channel.TryReadExactlyAsync(rest, CancellationToken.None));
        Assert.Equal("0020aabbcc", Convert.ToHexStringLower(rest));
    }

    [Fact]
    public async Task A_dialer_leaves_what_follows_the_answer()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var channel = new PlainChannel(left);
        await new ScriptedPeer(right).SendHexAsync(Header + Noise + "010203");
        Assert.Equal(ProtocolIds.Noise, await Multistream.SelectAsync(channel, [ProtocolIds.Noise], CancellationToken.None));
        byte[] rest = new byte[3];
        Assert.True(await channel.TryReadExactlyAsync(rest, CancellationToken.None));
        Assert.Equal([1, 2, 3], rest);
    }

    [Fact]
    public async Task A_listener_shows_its_header_to_a_dialer_that_waits_for_it()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        Task<string?> respond = Respond(right, ProtocolIds.Noise);
        var peer = new ScriptedPeer(left);
        await peer.SendHexAsync(Header);
        await peer.ExpectHexAsync(Header);
        await peer.SendHexAsync(Ls);
        await peer.ExpectHexAsync(Na);
        await peer.SendHexAsync(Tls);
        await peer.ExpectHexAsync(Na);
        await peer.SendHexAsync(Header); // nothing it could support either
        await peer.ExpectHexAsync(Na);
        await peer.SendHexAsync(Noise);
        await peer.ExpectHexAsync(Noise);
        Assert.Equal(ProtocolIds.Noise, await respond);
    }

    [Fact]
    public async Task A_dialer_that_gives_up_is_no_error()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendHexAsync(Header + Tls);
        left.CloseWrite();
        var listener = new MultistreamListener(_ => false);
        Assert.Null(await Multistream.RespondAsync(new PlainChannel(right), listener, CancellationToken.None));
        Assert.Equal(["/tls/1.0.0"], listener.Refused);
    }

    [Fact]
    public async Task The_number_of_proposals_is_limited()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendHexAsync(Header + string.Concat(Enumerable.Repeat(Tls, 32)) + Noise);
        Assert.Equal(ProtocolIds.Noise, await Respond(right, ProtocolIds.Noise));

        (left, right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendHexAsync(Header + string.Concat(Enumerable.Repeat(Tls, 33)));
        Assert.Equal(
            TransportError.LimitExceeded, (await Assert.ThrowsAsync<TransportException>(() => Respond(right, ProtocolIds.Noise))).Error);
    }

    [Theory]
    [InlineData(Noise)]
    [InlineData(Header + "03ff ff0a")] // not UTF-8
    [InlineData(Header + "00")]
    [InlineData(Header + "8800" + "2f6e6f6973650a")] // padded
    [InlineData("474554202f20485454502f312e310d0a0d0a")] // GET / HTTP/1.1
    [InlineData("16030100")] // a TLS client hello
    public async Task Garbage_is_a_violation(string hex)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        await new ScriptedPeer(left).SendHexAsync(hex + new string('0', 200));
        Assert.Equal(
            TransportError.ProtocolViolation, (await Assert.ThrowsAsync<TransportException>(() => Respond(right, ProtocolIds.Noise))).Error);
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    public async Task Both_sides_agree_on_the_dialers_first_that_the_listener_has(int maxReceive)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: maxReceive);
        Task<string> select = Select(left, "/a", "/b", "/c");
        Task<string?> respond = Respond(right, "/c", "/b");
        Assert.Equal(("/b", "/b"), (await select, await respond));
    }

    [Fact]
    public void Fuzzed_negotiations_end_or_fail_with_the_typed_error()
    {
        byte[] dialer = Convert.FromHexString(Header + Tls + Ls + Noise), listener = Convert.FromHexString(Header + Na + Noise);
        Gen.Int.Sample(
            number =>
            {
                bool listening = number % 2 == 0;
                MultistreamNegotiation side = listening
                    ? new MultistreamListener(id => id == ProtocolIds.Noise)
                    : new MultistreamDialer(["/tls/1.0.0", ProtocolIds.Noise]);
                var input = new ReadOnlySequence<byte>(Fuzz.Alter(new Random(number), listening ? dialer : listener));
                var output = new ArrayBufferWriter<byte>();
                Span<byte> scratch = stackalloc byte[MultistreamMessage.MaxEncodedLength];
                try
                {
                    side.Begin(output);
                    while (side.State == MultistreamState.Open
                        && MultistreamMessage.TryRead(input, scratch, out ReadOnlySpan<byte> token, out int consumed))
                    {
                        side.Receive(token, output);
                        input = input.Slice(consumed);
                    }

                    if (side.State == MultistreamState.Agreed) Assert.Contains(side.Agreed, (string[])["/tls/1.0.0", ProtocolIds.Noise]);
                }
                catch (TransportException e)
                {
                    Assert.Equal(TransportError.ProtocolViolation, e.Error);
                }
            },
            iter: 20_000,
            threads: 1);
    }
}
