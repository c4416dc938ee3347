using System.Buffers;
using System.IO.Pipelines;
using CsCheck;
using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Tests.Framing;

public class MessageTests
{
    [Fact]
    public void Messages_have_the_bytes_of_the_specification()
    {
        Assert.Equal(
            "0001" + new string('1', 64) + "0000000000000000000000000000000701140004" + "00036162" + "63",
            Bytes(new Offer(Enumerable.Repeat((byte)0x11, 32).ToArray(), 7, true, 20, 4, "abc").Write));
        Assert.Equal("02", Bytes(new Offer(new byte[32], 7, false, 20, 4, "abc", Compares: true).Write)[100..102]);
        Assert.Equal("00000005" + "0000000000000000000000000000000a", Bytes(new FileDigest(5, 10).Write));
        Assert.Equal("00000003" + "0000000000000002" + "0000000000000100", Bytes(new ManifestEnd(3, 2, 256).Write));
        Assert.Equal("00000005" + "0000000000000009" + "0000000000000000000000000000000a", Bytes(new FileEnd(5, 9, 10).Write));
        Assert.Equal("00000005" + "000c" + "0002c3a4", Bytes(new FileFailure(5, WireCode.SourceChanged, "ä").Write));
        Assert.Equal("0001" + "0000", Bytes(new Ending(WireCode.NoConsent, "").Write));
        Assert.Equal("00000005" + "0000000000100000" + "0007", Bytes(new ChunkRejected(5, 1 << 20, WireCode.VerificationFailed).Write));
        Assert.Equal(
            "00000002" + "0000000a" + "00000005" + "00000002" + "0000" + "00000004" + "ffff" + "00000005" + "fffe"
                + "00000007" + "0001" + "0000000000000001" + "0000000000000002" + "00000008" + "fffc" + "00000004",
            Bytes(new PlanMessage(2, 10,
                [new PlannedFile(2, []), new PlannedFile(4, [], IsPending: true), new PlannedFile(5, [], IsCompared: true),
                    new PlannedFile(7, [new ChunkRange(1, 2)]), new PlannedFile(8, [], Count: 4)]).Write));
    }

    [Theory]
    [InlineData(8, 1)] // one is written otherwise
    [InlineData(8, 5)] // behind the plan's end
    [InlineData(8, 0)]
    [InlineData(8, uint.MaxValue)]
    [InlineData(2, 8)] // over the next exception
    public void Runs_of_a_plan_that_cannot_be_are_refused(uint id, uint count)
    {
        var plan = new PlanMessage(2, 10, [new PlannedFile(id, [], Count: 2), new PlannedFile(9, [])]);
        byte[] body = Body((plan with { Exceptions = id == 8 ? [plan.Exceptions[0]] : plan.Exceptions }).Write).ToArray();
        Assert.NotEmpty(PlanMessage.Parse(new ReadOnlySequence<byte>(body)).Exceptions);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(body.AsSpan(18), count);
        var e = Assert.Throws<TransferException>(() => PlanMessage.Parse(new ReadOnlySequence<byte>(body)));
        Assert.Equal(TransferError.ProtocolViolation, e.Error);
    }

    [Fact]
    public void A_chunk_header_has_the_bytes_of_the_specification()
    {
        byte[] bytes = new byte[ChunkHeader.Size];
        var header = new ChunkHeader(1, ChunkFlags.WholeFile, 0x100000, 3, new UInt128(4, 5));
        header.Write(bytes);
        Assert.Equal("00000001" + "0001" + "0000" + "0000000000100000" + "00000003" + "0000000000000004" + "0000000000000005"
            + "e4d120bf6a23a80b", Convert.ToHexStringLower(bytes));
        Assert.Equal(header, ChunkHeader.Parse(bytes));

        byte[] first = new byte[Attach.Size];
        new Attach(new UInt128(3, 4), 2).Write(first);
        Assert.Equal("0001" + "0002" + "0000000000000003" + "0000000000000004" + "e9b0e02f68c39b8e", Convert.ToHexStringLower(first));
    }

    // The checks are those of another implementation of XXH3, 64 bits, seed 0.
    [Fact]
    public async Task A_control_message_has_the_bytes_of_the_specification()
    {
        Assert.Equal("00000001" + "80" + "baca1a4c48c56009", Convert.ToHexStringLower(await WireOf(writer => writer.Post(MessageType.KeepAlive))));
    }

    [Theory]
    [InlineData(1 << 20)] // whole in the buffer
    [InlineData(3)] // in pieces
    public async Task A_control_message_with_any_bit_turned_over_is_never_taken(int window)
    {
        byte[] right = await WireOf(writer => writer.Post(MessageType.FileDone, new Number(0x01020304)));
        for (int bit = 0; bit < 8 * right.Length; bit++)
        {
            byte[] wrong = [.. right];
            wrong[bit / 8] ^= (byte)(1 << bit % 8);
            PipeReader input = PipeReader.Create(new MemoryStream(wrong), new StreamPipeReaderOptions(bufferSize: window, minimumReadSize: 1));
            TransferException e = await Assert.ThrowsAsync<TransferException>(
                async () => await new ControlReader(input).ReadAsync(CancellationToken.None));
            // Of the length's bits some ask for more than there is, and some for more than there may be.
            Assert.True(e.Error == TransferError.ConnectionLost || bit < 32, $"bit {bit}: {e.Message}");
        }
    }

    [Fact]
    public void A_header_with_any_bit_turned_over_is_never_taken()
    {
        byte[] chunk = new byte[ChunkHeader.Size], attach = new byte[Attach.Size];
        new ChunkHeader(1, ChunkFlags.WholeFile, 0x100000, 3, new UInt128(4, 5)).Write(chunk);
        new Attach(7, 2).Write(attach);
        for (int bit = 0; bit < 8 * ChunkHeader.Size; bit++)
            Assert.Equal(TransferError.ConnectionLost, Assert.Throws<TransferException>(() => ChunkHeader.Parse(Turned(chunk, bit))).Error);
        for (int bit = 0; bit < 8 * Attach.Size; bit++)
            Assert.Equal(TransferError.ConnectionLost, Assert.Throws<TransferException>(() => Attach.Parse(Turned(attach, bit))).Error);

        static byte[] Turned(byte[] right, int bit)
        {
            byte[] wrong = [.. right];
            wrong[bit / 8] ^= (byte)(1 << bit % 8);
            return wrong;
        }
    }

    private static async Task<byte[]> WireOf(Action<ControlWriter> post)
    {
        var sink = new MemoryStream();
        var writer = new ControlWriter(PipeWriter.Create(sink, new StreamPipeWriterOptions(leaveOpen: true)));
        post(writer);
        writer.Finish();
        await writer.PumpAsync(CancellationToken.None);
        return sink.ToArray();
    }

    [Fact]
    public void Plans_survive_the_wire()
    {
        Gen.Select(Gen.UInt[0, 1000], Gen.UInt[1, 5000], Gen.Int[0, 40], Gen.Int[0, 5]).Sample((first, count, exceptions, ranges) =>
        {
            PlannedFile[] files = [.. Enumerable.Range(0, Math.Min(exceptions, (int)count)).Select(i =>
                new PlannedFile(first + (uint)i, [.. Enumerable.Range(0, ranges).Select(r => new ChunkRange(10 * r, 3))],
                    IsPending: ranges == 0 && i % 2 == 0))];
            PlanMessage parsed = PlanMessage.Parse(Body(new PlanMessage(first, count, files).Write));
            Assert.Equal((first, count), (parsed.First, parsed.Count));
            Assert.Equal(files.Select(f => (f.Id, f.IsPending, string.Join(',', f.Ranges))),
                parsed.Exceptions.Select(f => (f.Id, f.IsPending, string.Join(',', f.Ranges))));
        }, iter: 200);
    }

    [Fact]
    public void Texts_that_are_too_long_are_cut_at_a_character()
    {
        Ending parsed = Ending.Parse(MessageType.Cancel, Body(new Ending(WireCode.Other, new string('€', 1000)).Write));
        Assert.Equal(new string('€', TransferProtocol.MaxTextLength / 3), parsed.Text);
        Assert.Equal("a\ufffdb", Ending.Parse(MessageType.Cancel, Body(new Ending(WireCode.Other, "a\ud800b").Write)).Text);
    }

    /// <summary>
    /// Any bytes and any single change of a right message: a typed error or a message, nothing else, and no memory by announced counts.
    /// </summary>
    [Fact]
    public void Parsers_take_any_bytes()
    {
        byte[][] right =
        [
            Body(new Offer(new byte[32], 7, true, 20, 4, "abc").Write).ToArray(), Body(new ManifestEnd(3, 2, 256).Write)
                .ToArray(), Body(new FileEnd(5, 9, 10).Write).ToArray(),
            Body(new FileFailure(5, WireCode.SourceChanged, "text").Write).ToArray(), Body(new Ending(WireCode.NoConsent, "text").Write)
                .ToArray(),
            Body(new PlanMessage(2, 10, [new PlannedFile(2, []), new PlannedFile(7, [new ChunkRange(1, 2)])]).Write).ToArray(),
            Body(new PlanMessage(2, 10, [new PlannedFile(2, [], Count: 5), new PlannedFile(8, [])]).Write).ToArray(),
        ];
        Gen<byte[]> changed = Gen.Select(Gen.Int[0, right.Length - 1].Select(i => right[i]), Gen.Int[0, 200], Gen.Byte, Gen.Int[0, 200])
            .Select((message, at, value, cut) =>
        {
            byte[] copy = [.. message];
            copy[at % copy.Length] = value;
            return copy[..Math.Max(0, copy.Length - Math.Max(0, cut - 150))];
        });
        Gen.OneOf(Gen.Byte.Array[0, 80], changed).Sample(
            bytes =>
            {
                var body = new ReadOnlySequence<byte>(bytes);
                long before = GC.GetAllocatedBytesForCurrentThread();
                Try(() => Offer.Parse(body));
                Try(() => ManifestEnd.Parse(body));
                Try(() => FileEnd.Parse(body));
                Try(() => FileDigest.Parse(body));
                Try(() => FileFailure.Parse(MessageType.FileFailed, body));
                Try(() => Ending.Parse(MessageType.Cancel, body));
                Try(() => Accept.Parse(body));
                Try(() => ChunkRejected.Parse(body));
                Try(() => Complete.Parse(body));
                Try(() => Number.Parse(MessageType.Known, body));
                Try(() => PlanMessage.Parse(body));
                if (bytes.Length >= ChunkHeader.Size) Try(() => ChunkHeader.Parse(Checked(bytes, ChunkHeader.Size)));
                if (bytes.Length >= Attach.Size) Try(() => Attach.Parse(Checked(bytes, Attach.Size)));
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 256 << 10);
            },
            iter: 5000, threads: 1);

        // Fields are looked at only behind a right check.
        static byte[] Checked(byte[] bytes, int size)
        {
            byte[] copy = bytes[..size];
            WireCheck.Write(copy);
            return copy;
        }

        static void Try(Action parse)
        {
            try
            {
                parse();
            }
            catch (TransferException e)
            {
                Assert.True(e.Error is TransferError.ProtocolViolation or TransferError.Refused);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(100_000)]
    public async Task Control_messages_pass_a_window_smaller_than_themselves(int piece)
    {
        int size = piece == 1 ? 2000 : 600_000;
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048, useSynchronizationContext: false));
        byte[] large = new byte[size];
        new Random(1).NextBytes(large);
        byte[] wire = await WireOf(writer =>
        {
            writer.Post(MessageType.KeepAlive);
            writer.Post(MessageType.ManifestPage, new Raw(large));
            writer.Post(MessageType.FileDone, new Number(3));
        });
        Task feeding = Task.Run(async () =>
        {
            for (int at =
                0; at < wire.Length; at += piece) await pipe.Writer.WriteAsync(wire.AsMemory(at, Math.Min(piece, wire.Length - at)));
            await pipe.Writer.CompleteAsync();
        });

        var reader = new ControlReader(pipe.Reader);
        Assert.Equal(MessageType.KeepAlive, (await reader.ReadAsync(CancellationToken.None))!.Value.Type);
        ControlMessage page = (await reader.ReadAsync(CancellationToken.None))!.Value;
        Assert.True(page.Body.ToArray().AsSpan().SequenceEqual(large));
        Assert.Equal(3u, Number.Parse(MessageType.FileDone, (await reader.ReadAsync(CancellationToken.None))!.Value.Body).Value);
        Assert.Null(await reader.ReadAsync(CancellationToken.None));
        await feeding;
    }

    [Theory]
    [InlineData(0, 65536, 0)]
    [InlineData(1, 65536, 1)]
    [InlineData(65537, 131072, 1)]
    [InlineData((1 << 20) - 1, 1 << 20, 1)]
    [InlineData(1 << 20, 1 << 20, 1)]
    [InlineData((1 << 20) + 1, 1 << 20, 2)]
    [InlineData(long.MaxValue, 1 << 20, 1L << 43)]
    public void Chunk_sizes_follow_from_file_sizes(long file, uint chunk, long count)
    {
        Assert.Equal(chunk, ChunkSize.Of(file));
        Assert.Equal(count, ChunkSize.Count(file, chunk));
    }

    private readonly struct Raw(byte[] bytes) : IWireMessage
    {
        public void Write(IBufferWriter<byte> writer) => writer.Write(bytes);
    }

    private static ReadOnlySequence<byte> Body(Action<IBufferWriter<byte>> write)
    {
        var writer = new ArrayBufferWriter<byte>();
        write(writer);
        return new ReadOnlySequence<byte>(writer.WrittenMemory);
    }

    private static string Bytes(Action<IBufferWriter<byte>> write) => Convert.ToHexStringLower(Body(write).ToArray());
}
