using System.Buffers.Binary;
using System.Net.Sockets;
using NSec.Cryptography;

namespace FastShare.SideBySide.DotNet;

/// <summary>One socket of <see cref="ManyLimitPeer"/>, which blocks only where its thread has no other. Used by one thread.</summary>
internal interface IManyLimitSocket
{
    Socket Socket { get; }

    /// <summary>Whether it waits for room to send, or else for something to receive.</summary>
    bool IsSender { get; }

    /// <summary>Whether all has been moved.</summary>
    bool IsDone { get; }

    /// <summary>Moves up to one batch; false: the socket is not ready. Keeps a buffer only while something is left in it.</summary>
    /// <param name="free">Buffers of the thread, of <see cref="ManyLimitSender.BufferLength"/> bytes.</param>
    bool TryAdvance(Stack<byte[]> free);
}

/// <summary>Seals so many bytes, a batch at a time.</summary>
internal sealed class ManyLimitSender(Socket socket, long bytes) : IManyLimitSocket
{
    /// <summary>Length of a thread's buffers, in bytes: two batches, so that a receiver copies few parts of records.</summary>
    public const int BufferLength = 2 * LimitPeer.Batch * LimitPeer.Record;

    private static readonly byte[] _plain = NewPlain();

    private readonly Key _key = LimitPeer.NewKey();
    private readonly byte[] _nonce = LimitPeer.NewNonce();
    private byte[]? _buffer; // sealed and not all sent
    private int _sent, _filled;
    private long _sealed;
    private ulong _record;

    public Socket Socket => socket;

    public bool IsSender => true;

    public bool IsDone => _buffer is null && _sealed == bytes;

    public bool TryAdvance(Stack<byte[]> free)
    {
        if (_buffer is null) SealBatch(free);
        int count = socket.Send(_buffer.AsSpan(_sent.._filled), SocketFlags.None, out SocketError error);
        if (error == SocketError.WouldBlock) return false;
        if (error != SocketError.Success) throw new SocketException((int)error);
        _sent += count;
        if (_sent < _filled) return true;
        free.Push(_buffer!);
        _buffer = null;
        if (IsDone) _key.Dispose();
        return true;
    }

    private void SealBatch(Stack<byte[]> free)
    {
        if (!free.TryPop(out _buffer)) _buffer = new byte[BufferLength];
        _sent = _filled = 0;
        for (int i = 0; i < LimitPeer.Batch && _sealed < bytes; i++)
        {
            int length = (int)Math.Min(LimitPeer.Payload, bytes - _sealed);
            _filled += LimitPeer.Seal(_key, _nonce, _record++, _plain.AsSpan(0, length), _buffer.AsSpan(_filled));
            _sealed += length;
        }
    }

    private static byte[] NewPlain()
    {
        byte[] plain = new byte[LimitPeer.Payload];
        new Random(7).NextBytes(plain);
        return plain;
    }
}

/// <summary>Opens so many bytes, as they come, in place.</summary>
/// <param name="socket">The socket; stays the caller's.</param>
/// <param name="bytes">What is to come.</param>
/// <param name="done">Called once all has come, on the thread that serves the socket.</param>
internal sealed class ManyLimitReceiver(Socket socket, long bytes, Action done) : IManyLimitSocket
{
    private readonly Key _key = LimitPeer.NewKey();
    private readonly byte[] _nonce = LimitPeer.NewNonce();
    private byte[]? _buffer; // with a part of a record
    private int _have;
    private ulong _record;
    private long _received; // volatile

    /// <summary>What has come and was opened, in bytes; from any thread.</summary>
    public long Received => Volatile.Read(ref _received);

    public Socket Socket => socket;

    public bool IsSender => false;

    public bool IsDone => _received == bytes;

    public bool TryAdvance(Stack<byte[]> free)
    {
        if (_buffer is null && !free.TryPop(out _buffer)) _buffer = new byte[ManyLimitSender.BufferLength];
        int count = socket.Receive(_buffer.AsSpan(_have), SocketFlags.None, out SocketError error);
        if (error is not (SocketError.Success or SocketError.WouldBlock)) throw new SocketException((int)error);
        if (error == SocketError.Success && count == 0) throw new InvalidOperationException("the sender ended early");
        if (error == SocketError.Success) _have += count;
        OpenRecords();
        if (_have == 0)
        {
            free.Push(_buffer);
            _buffer = null;
        }

        if (IsDone)
        {
            _key.Dispose();
            done();
        }

        return error == SocketError.Success;
    }

    private void OpenRecords()
    {
        int at = 0;
        while (_have - at >= LimitPeer.Prefix)
        {
            int length = BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(at));
            if (_have - at - LimitPeer.Prefix < length) break;
            Span<byte> message = _buffer.AsSpan(at + LimitPeer.Prefix, length);
            LimitPeer.Open(_key, _nonce, _record++, message, message[..^LimitPeer.Tag]);
            at += LimitPeer.Prefix + length;
            Volatile.Write(ref _received, _received + length - LimitPeer.Tag);
        }

        _buffer.AsSpan(at.._have).CopyTo(_buffer);
        _have -= at;
    }
}
