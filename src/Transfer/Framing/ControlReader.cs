using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.IO.Pipelines;

namespace FastShare.Transfer.Framing;

/// <summary>One control message. Its body is valid until the next one is read.</summary>
internal readonly record struct ControlMessage(MessageType Type, ReadOnlySequence<byte> Body);

/// <summary>
/// Takes control messages from a stream: u32 length (type and body), u8 type, body, u64 check. Used by one reader.
/// </summary>
/// <remarks>
/// A message may be longer than the stream's window. What cannot be parsed in place is therefore copied as it arrives, so that
/// its credit returns; memory grows with the bytes received, never with the length announced.
/// </remarks>
internal sealed class ControlReader(PipeReader input)
{
    private const int HeaderLength = 5;

    // State of the single reader.
    private readonly ArrayBufferWriter<byte> _partial = new();
    private readonly XxHash3 _hash = new();
    private SequencePosition _consumed;
    private bool _holdsInput;
    private bool _outOfStep;

    /// <summary>
    /// The next message; null at an orderly end between two messages. After a damaged one, or a read that was cancelled, messages cannot be
    /// told apart any more: what follows is passed over.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.ConnectionLost"/>: the message was damaged, or cut off.</exception>
    public async ValueTask<ControlMessage?> ReadAsync(CancellationToken cancellationToken)
    {
        Release();
        if (_outOfStep) return await SkipToEndAsync(cancellationToken).ConfigureAwait(false);
        _outOfStep = true;
        ControlMessage? message = await ReadMessageAsync(cancellationToken).ConfigureAwait(false);
        _outOfStep = false;
        return message;
    }

    private async ValueTask<ControlMessage?> ReadMessageAsync(CancellationToken cancellationToken)
    {
        int length;
        MessageType type;
        while (true)
        {
            ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (TryParseHeader(buffer, out uint announced, out type))
            {
                if (announced is 0 or > TransferProtocol.MaxMessageLength)
                {
                    input.AdvanceTo(buffer.End);
                    // No peer writes such a length, and the check that would tell a damaged one stands where the length says.
                    throw WireCheck.Damaged($"the length of a control message ({announced} bytes)");
                }

                length = (int)announced - 1;
                _hash.Reset();
                if (buffer.Length - HeaderLength - WireCheck.Size >= length)
                {
                    Append(buffer.Slice(0, HeaderLength + length));
                    ReadOnlySequence<byte> check = buffer.Slice(HeaderLength + length, WireCheck.Size);
                    if (!Matches(check))
                    {
                        input.AdvanceTo(buffer.End);
                        throw WireCheck.Damaged("a control message");
                    }

                    _consumed = check.End;
                    _holdsInput = true;
                    return new ControlMessage(type, buffer.Slice(HeaderLength, length));
                }

                Append(buffer.Slice(0, HeaderLength));
                input.AdvanceTo(buffer.GetPosition(HeaderLength));
                break;
            }

            if (result.IsCompleted)
            {
                input.AdvanceTo(buffer.End);
                return buffer.IsEmpty ? null : throw Truncated();
            }

            input.AdvanceTo(buffer.Start, buffer.End);
        }

        return new ControlMessage(type, await CollectAsync(length, cancellationToken).ConfigureAwait(false));
    }

    private async ValueTask<ReadOnlySequence<byte>> CollectAsync(int length, CancellationToken cancellationToken)
    {
        int total = length + WireCheck.Size;
        _partial.ResetWrittenCount();
        while (_partial.WrittenCount < total)
        {
            ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            ReadOnlySequence<byte> piece = result.Buffer;
            if (piece.Length > total - _partial.WrittenCount) piece = piece.Slice(0, total - _partial.WrittenCount);
            foreach (ReadOnlyMemory<byte> segment in piece) _partial.Write(segment.Span);
            input.AdvanceTo(piece.End);
            if (result.IsCompleted && _partial.WrittenCount < total) throw Truncated();
        }

        var message = new ReadOnlySequence<byte>(_partial.WrittenMemory);
        Append(message.Slice(0, length));
        return Matches(message.Slice(length)) ? message.Slice(0, length) : throw WireCheck.Damaged("a control message");
    }

    private void Append(in ReadOnlySequence<byte> bytes)
    {
        foreach (ReadOnlyMemory<byte> segment in bytes) _hash.Append(segment.Span);
    }

    private bool Matches(in ReadOnlySequence<byte> check)
    {
        Span<byte> bytes = stackalloc byte[WireCheck.Size];
        check.CopyTo(bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes) == _hash.GetCurrentHashAsUInt64();
    }

    private async ValueTask<ControlMessage?> SkipToEndAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted) return null;
        }
    }

    private void Release()
    {
        if (!_holdsInput) return;
        _holdsInput = false;
        input.AdvanceTo(_consumed);
    }

    private static bool TryParseHeader(in ReadOnlySequence<byte> buffer, out uint announced, out MessageType type)
    {
        announced = 0;
        type = default;
        if (buffer.Length < HeaderLength) return false;
        Span<byte> header = stackalloc byte[HeaderLength];
        buffer.Slice(0, HeaderLength).CopyTo(header);
        announced = BinaryPrimitives.ReadUInt32BigEndian(header);
        type = (MessageType)header[4];
        return true;
    }

    private static TransferException Truncated() =>
        new(TransferError.ConnectionLost, "the control stream ended within a message");
}
