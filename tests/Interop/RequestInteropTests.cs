using System.Text.Json;
using System.Text.Json.Serialization;
using FastShare.Transport;
using FastShare.Transport.Requests;

namespace FastShare.Interop;

/// <summary>
/// FastShare's requests with js-libp2p, which has none of its own: its side are stream handlers that read to the end and answer, which
/// is what request-response is on the wire.
/// </summary>
public sealed class RequestInteropTests(JsPeers peers) : IClassFixture<JsPeers>
{
    private const int HangLimit = 60_000;
    private const string Reverse = "/interop/reverse/1";

    private static readonly RequestProtocol<SumRequest, SumResponse> Sums = new(
        "/interop/sum/1", new JsonCodec<SumRequest>(InteropJson.Default.SumRequest), new JsonCodec<SumResponse>(InteropJson.Default.SumResponse));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Timeout = HangLimit)]
    public async Task Js_answers_fifty_requests_at_once_over_the_one_dial_that_they_share()
    {
        await using Pair pair = await StartAsync();
        await using RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> requests = Requester(pair, Reverse);
        var random = new Random(7);
        // empty, one byte, and beyond the stream's first window
        byte[][] messages = [[], [1], new byte[600_000], .. Enumerable.Range(0, 47).Select(_ => new byte[random.Next(20_000)])];
        foreach (byte[] message in messages) random.NextBytes(message);
        await Task.WhenAll(messages.Select(async message =>
        {
            ReadOnlyMemory<byte> response = await requests.SendAsync(pair.Js.Id, message, null, Token);
            Assert.Equal([.. message.AsEnumerable().Reverse()], response.ToArray());
        }));
        Assert.Equal(1, pair.Swarm.DialCount(pair.Js.Id));
        Assert.Single((await pair.DoAsync("connections")).EnumerateArray());
    }

    [Fact(Timeout = HangLimit)]
    public async Task Js_answers_in_json()
    {
        await using Pair pair = await StartAsync();
        await using var requests = new RequestResponse<SumRequest, SumResponse>(pair.Swarm, Sums, AnswerSumAsync);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async i =>
        {
            SumResponse response = await requests.SendAsync(pair.Js.Id, new SumRequest($"ü{i}", [i, 1.5], [1, (byte)i]), null, Token);
            Assert.Equal(($"ü{i}", i + 1.5), (response.Label, response.Total));
            Assert.Equal([(byte)i, 1], response.Bytes);
        }));
    }

    /// <summary>js-libp2p 3 resets a stream whose end comes together with its proposal, so the proposal goes first.</summary>
    [Fact(Timeout = HangLimit)]
    public async Task Js_answers_small_requests_when_it_is_known_what_it_serves()
    {
        await using Pair pair = await Pair.ConnectAsync(SecurityMode.Noise, await peers.GetAsync(SecurityMode.Noise), jsDials: false);
        Assert.Contains(Reverse, (await pair.Connection.IdentifyAsync(Token)).Protocols);
        await using RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> requests = Requester(pair, Reverse);
        for (int i = 0; i < 10; i++)
            Assert.Equal([2, 1], (await requests.SendAsync(pair.Js.Id, (byte[])[1, 2], null, Token)).ToArray());
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Js_is_answered_whoever_dialed(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(SecurityMode.Noise, await peers.GetAsync(SecurityMode.Noise), jsDials);
        await using RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> raw = new(
            pair.Swarm,
            new RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(Reverse, BytesCodec.Instance, BytesCodec.Instance),
            (_, request, _) => new ValueTask<ReadOnlyMemory<byte>>(request.ToArray().AsEnumerable().Reverse().ToArray()));
        await using var json = new RequestResponse<SumRequest, SumResponse>(pair.Swarm, Sums, AnswerSumAsync);

        byte[] message = new byte[500_000];
        Random.Shared.NextBytes(message);
        JsonElement answer = await pair.DoAsync("request", new { protocol = Reverse, body = Convert.ToBase64String(message) });
        Assert.Equal([.. message.AsEnumerable().Reverse()], answer.GetBytesFromBase64());

        object[] requests = [.. Enumerable.Range(0, 50).Select(i => new { label = $"n{i}", numbers = (int[])[i, i], bytes = (int[])[1, 2] })];
        JsonElement sums = await pair.DoAsync("sums", new { requests });
        Assert.Equal(50, sums.GetArrayLength());
        Assert.All(Enumerable.Range(0, 50), i =>
        {
            Assert.Equal($"n{i}", sums[i].GetProperty("label").GetString());
            Assert.Equal(2 * i, sums[i].GetProperty("total").GetInt32());
            Assert.Equal([2, 1], sums[i].GetProperty("bytes").EnumerateArray().Select(b => b.GetInt32()));
        });
    }

    [Fact(Timeout = HangLimit)]
    public async Task A_protocol_that_js_does_not_serve_is_unsupported()
    {
        await using Pair pair = await StartAsync();
        RequestException error = await FailureAsync(pair, "/interop/nobody-speaks-this/1");
        Assert.Equal((RequestFailure.UnsupportedProtocols, pair.Js.Id), (error.Failure, error.Peer));
        await AssertUsableAsync(pair);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(InteropProtocols.Reset)]
    [InlineData("/interop/reset-answer/1")]
    public async Task A_stream_that_js_resets_fails_its_request_alone(string protocol)
    {
        await using Pair pair = await StartAsync();
        RequestException error = await FailureAsync(pair, protocol);
        Assert.Equal((RequestFailure.Io, TransportError.StreamReset), (error.Failure, error.Error));
        await AssertUsableAsync(pair);
    }

    [Fact(Timeout = HangLimit)]
    public async Task A_connection_that_js_closes_while_answering_fails_the_request()
    {
        await using Pair pair = await StartAsync();
        PeerConnection connection = await pair.Swarm.ConnectAsync(pair.Js.Id, null, Token);
        RequestException error = await FailureAsync(pair, "/interop/hang-up/1");
        // js resets the streams, then the socket: what of it arrives is up to the system.
        Assert.Contains(error.Failure, new[] { RequestFailure.ConnectionClosed, RequestFailure.Io });
        await connection.Closed.WaitAsync(Token);
        await AssertUsableAsync(pair, dials: 2);
    }

    [Fact(Timeout = HangLimit)]
    public async Task An_end_without_an_answer_is_an_omitted_response()
    {
        await using Pair pair = await StartAsync();
        var protocol = new RequestProtocol<SumRequest, SumResponse>(
            "/interop/silent/1", Sums.RequestCodec, Sums.ResponseCodec, new RequestProtocolOptions { Direction = RequestDirection.Outbound });
        await using var requests = new RequestResponse<SumRequest, SumResponse>(pair.Swarm, protocol);
        RequestException error = await Assert.ThrowsAsync<RequestException>(
            () => requests.SendAsync(pair.Js.Id, new SumRequest("", [], []), null, Token));
        Assert.Equal(RequestFailure.ResponseOmitted, error.Failure);
    }

    [Fact(Timeout = HangLimit)]
    public async Task What_js_cannot_have_meant_is_an_error_on_both_sides()
    {
        await using Pair pair = await Pair.ConnectAsync(SecurityMode.Noise, await peers.GetAsync(SecurityMode.Noise), jsDials: true);
        await using var json = new RequestResponse<SumRequest, SumResponse>(pair.Swarm, Sums, AnswerSumAsync);
        IAsyncEnumerable<RequestEvent> events = json.WatchAsync(Token);
        await Assert.ThrowsAsync<JsPeerException>(
            () => pair.DoAsync("request", new { protocol = Sums.Id, body = Convert.ToBase64String("{\"label\":1}"u8) }));
        var failed = (RequestEvent.InboundFailed)await events.FirstAsync(e => e is RequestEvent.InboundFailed);
        Assert.Equal(InboundFailure.Io, failed.Failure);
        Assert.Contains("JSON", failed.Message, StringComparison.Ordinal);
    }

    /// <summary>Two hosts: js on one, the sample <c>queued-files</c> on the other, which sends when mDNS has found js.</summary>
    [Fact(Timeout = HangLimit)]
    public async Task Fifty_requests_at_the_very_moment_mdns_finds_js_take_one_dial()
    {
        string folder = Directory.CreateTempSubdirectory("fastshare-interop-").FullName;
        try
        {
            await using TwoHosts lan = await TwoHosts.CreateAsync();
            string[] files = [.. Enumerable.Range(1, 50).Select(i => Path.Combine(folder, $"file-{i}"))];
            foreach (string file in files) await File.WriteAllBytesAsync(file, [.. Enumerable.Repeat((byte)file.Length, file.Length * 700)], Token);
            Assert.True(File.Exists(Repository.QueuedFiles), $"{Repository.QueuedFiles} is not built");
            string[] command = [.. TwoHosts.On(lan.A), Repository.QueuedFiles, "send", .. files];
            await using LineProcess sender = LineProcess.Start(command[0], command[1..]);
            await using JsPeer js = await JsPeer.StartAsync(
                new { mdns = true, listen = (string[])["/ip4/0.0.0.0/tcp/0"] }, TwoHosts.On(lan.B));

            (int exit, string errors) = await sender.ExitAsync();
            string output = string.Join('\n', sender.OtherLines());
            Assert.True(exit == 0, $"{output}\n{errors}");
            Assert.Contains($"50 of 50 arrived at {js.Id} over 1 dial", output, StringComparison.Ordinal);
            Assert.Single(js.Process.Events("opened"));
            Assert.Equal(
                [.. files.Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)],
                js.Process.Events("file").Select(e => e.GetProperty("name").GetString()!).Order(StringComparer.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static ValueTask<SumResponse> AnswerSumAsync(RequestContext context, SumRequest request, CancellationToken cancellationToken) =>
        new(new SumResponse(request.Label, request.Numbers.Sum(), [.. request.Bytes.AsEnumerable().Reverse()]));

    private static RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Requester(Pair pair, string protocol) => new(
        pair.Swarm,
        new RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            protocol, BytesCodec.Instance, BytesCodec.Instance, new RequestProtocolOptions { Direction = RequestDirection.Outbound }));

    private static async Task<RequestException> FailureAsync(Pair pair, string protocol)
    {
        await using RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> requests = Requester(pair, protocol);
        return await Assert.ThrowsAsync<RequestException>(() => requests.SendAsync(pair.Js.Id, new byte[100], null, Token));
    }

    private static async Task AssertUsableAsync(Pair pair, int dials = 1)
    {
        await using RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> requests = Requester(pair, Reverse);
        Assert.Equal([3, 2, 1], (await requests.SendAsync(pair.Js.Id, (byte[])[1, 2, 3], null, Token)).ToArray());
        Assert.Equal(dials, pair.Swarm.DialCount(pair.Js.Id));
    }

    /// <summary>Two nodes that are not connected; FastShare knows where js is.</summary>
    private async Task<Pair> StartAsync()
    {
        Pair pair = await Pair.StartAsync(SecurityMode.Noise, await peers.GetAsync(SecurityMode.Noise));
        pair.Swarm.AddAddresses(pair.Js.Id, pair.Js.Addresses);
        return pair;
    }
}

internal sealed record SumRequest(
    string Label, double[] Numbers, [property: JsonConverter(typeof(JsonByteVectorConverter))] byte[] Bytes);

internal sealed record SumResponse(string Label, double Total, [property: JsonConverter(typeof(JsonByteVectorConverter))] byte[] Bytes);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SumRequest))]
[JsonSerializable(typeof(SumResponse))]
internal sealed partial class InteropJson : JsonSerializerContext;
