using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Verification;
using FastShare.Transport;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>A sender that says what a test tells it to, to a real receiver.</summary>
internal sealed class ScriptedSender(MemoryNode node, PeerId receiver) : IAsyncDisposable
{
    private readonly List<ITransferStream> _streams = [];
    private ITransferStream? _control;
    private ControlReader? _reader;

    public async Task OfferAsync(byte key = 1, bool resume = false, UInt128? instance = null, bool compares = false)
    {
        _streams.Add(_control = await node.OpenStreamAsync(receiver, TransferProtocol.ControlId, CancellationToken.None));
        _reader = new ControlReader(_control.Input);
        byte[] bytes = new byte[32];
        bytes[0] = key;
        await SendAsync(MessageType.Offer, new Offer(bytes, instance ?? 7, resume, ChunkSize.DefaultBits, 2, "scripted", compares).Write);
    }

    /// <summary>Offers files of these sizes, waits to be accepted and for the plan.</summary>
    public async Task<UInt128> OfferFilesAsync(params long[] sizes)
    {
        await OfferAsync();
        await SendManifestAsync(
            [.. sizes.Select((size, id) => new ManifestEntry((uint)id, EntryKind.File, $"file{id}", size, 0x1A4, 1_000_000_000, null))]);
        UInt128 session = Accept.Parse((await ExpectAsync(MessageType.Accept)).Body).Session;
        await ExpectAsync(MessageType.Plan);
        return session;
    }

    public async Task SendManifestAsync(params ManifestEntry[] entries)
    {
        await SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode(entries, writer));
        await SendAsync(MessageType.ManifestEnd,
            new ManifestEnd((uint)entries.Length, entries.Count(e => e.HasContent), entries.Sum(e => e.AnnouncedBytes)).Write);
    }

    public async Task SendAsync(MessageType type, Action<IBufferWriter<byte>> write)
    {
        var body = new ArrayBufferWriter<byte>();
        write(body);
        await SendRawAsync(type, body.WrittenMemory.ToArray());
    }

    public async Task SendRawAsync(MessageType type, byte[] body, uint? length = null)
    {
        var message = new ArrayBufferWriter<byte>();
        message.WriteUInt32(length ?? (uint)body.Length + 1);
        message.WriteByte((byte)type);
        message.Write(body);
        BinaryPrimitives.WriteUInt64BigEndian(message.GetSpan(WireCheck.Size), WireCheck.Of(message.WrittenSpan));
        message.Advance(WireCheck.Size);
        await _control!.Output.WriteAsync(message.WrittenMemory);
    }

    /// <summary>The next message that is neither a keep-alive nor a lane's count; it must be of this type. Its body is copied.</summary>
    public async Task<ControlMessage> ExpectAsync(MessageType type)
    {
        while (true)
        {
            ControlMessage message = await _reader!.ReadAsync(CancellationToken.None) ?? throw new InvalidOperationException(
                $"the stream ended instead of {type}");
            if (message.Type is MessageType.KeepAlive or MessageType.LaneTaken or MessageType.LaneEnded && message.Type != type) continue;
            Assert.Equal(type, message.Type);
            return message with { Body = new ReadOnlySequence<byte>(message.Body.ToArray()) };
        }
    }

    /// <summary>The next message of any type; its body is copied.</summary>
    public async Task<ControlMessage> NextAsync()
    {
        ControlMessage message = await _reader!.ReadAsync(CancellationToken.None)
            ?? throw new InvalidOperationException("the stream ended");
        return message with { Body = new ReadOnlySequence<byte>(message.Body.ToArray()) };
    }

    /// <summary>The receiver's last message; answers with the end of this side, for which the receiver waits a while.</summary>
    public async Task<WireCode> ExpectEndingAsync(MessageType type)
    {
        WireCode code = Ending.Parse(type, (await ExpectAsync(type)).Body).Code;
        await CloseAsync();
        return code;
    }

    /// <summary>Lets virtual time pass until something happens, and says now and then that this side lives.</summary>
    public async Task<T> AdvanceUntilAsync<T>(FakeTimeProvider time, Task<T> done)
    {
        while (!done.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await SendRawAsync(MessageType.KeepAlive, []);
            // Time does not outrun the receiver's hearing. One that is at work does not read, and takes that for no silence.
            for (int i = 0; i == 0 || (i < 100 && !((MemoryStreamEnd)_control!).IsConsumed && !done.IsCompleted); i++)
                await Task.WhenAny(done, Task.Delay(1));
        }

        return await done;
    }

    /// <summary>Whether the receiver has consumed what was said so far.</summary>
    public bool IsHeard => ((MemoryStreamEnd)_control!).IsConsumed;

    public async Task CloseAsync() => await _control!.Output.CompleteAsync();

    /// <summary>Waits until the receiver has written this many bytes; it tells only later that a small file is published.</summary>
    public static async Task WaitForMovedAsync(Transfer received, long bytes)
    {
        while (received.Meter.Moved < bytes)
        {
            // A transfer that has ended moves nothing more, and its reason is what the test has to show.
            if (received.Completion.IsCompleted) await received.Completion;
            await Task.Delay(5);
        }

        Assert.Equal(bytes, received.Meter.Moved);
    }

    public async Task<PipeWriter> AttachAsync(UInt128 session, ushort lane = 0, MemoryNode? from = null)
    {
        ITransferStream stream = await (from ?? node).OpenStreamAsync(receiver, TransferProtocol.DataId, CancellationToken.None);
        _streams.Add(stream);
        new Attach(session, lane).Write(stream.Output.GetSpan(Attach.Size));
        stream.Output.Advance(Attach.Size);
        await stream.Output.FlushAsync();
        return stream.Output;
    }

    /// <summary>The stream of the data lane opened last.</summary>
    public ITransferStream LastStream => _streams[^1];

    public static async Task SendChunkAsync(PipeWriter lane, uint file, long offset, byte[] payload, ChunkFlags flags =
        ChunkFlags.None, UInt128? digest = null, int? length = null)
    {
        new ChunkHeader(file, flags, offset, length ?? payload.Length, digest ?? Digester.Of(payload))
            .Write(lane.GetSpan(ChunkHeader.Size));
        lane.Advance(ChunkHeader.Size);
        try
        {
            await lane.WriteAsync(payload);
        }
        catch (TransportException e) when (e.Error == TransportError.StreamReset)
        {
            // The receiver ended the session within the payload; the control stream tells.
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ITransferStream stream in _streams) await stream.DisposeAsync();
    }
}
