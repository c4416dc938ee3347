namespace FastShare.Testing.Transfer;

/// <summary>
/// A stream of bytes that depend on their place: yields what it is told to, waits or fails where it is told to, and counts what was read.
/// Used by one reader; the properties may be read by others.
/// </summary>
internal sealed class ScriptedSource(long length) : Stream
{
    private long _read; // volatile: one writer

    /// <summary>Reads wait for it when this many bytes were read; default: never.</summary>
    public (long After, Task Until) Pause { get; init; } = (long.MaxValue, Task.CompletedTask);

    /// <summary>The read behind this many bytes fails.</summary>
    public long FailsAfter { get; init; } = long.MaxValue;

    /// <summary>Most bytes of one read.</summary>
    public int MostAtOnce { get; init; } = int.MaxValue;

    public long BytesRead => Volatile.Read(ref _read);

    public bool IsDisposed { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static byte At(long place) => (byte)(place * 31 + (place >> 8) * 17 + (place >> 16) * 13);

    public static byte[] Bytes(long length)
    {
        byte[] bytes = new byte[length];
        for (long i = 0; i < length; i++) bytes[i] = At(i);
        return bytes;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_read >= Pause.After) await Pause.Until.WaitAsync(cancellationToken);
        if (_read >= FailsAfter) throw new IOException("the source broke");
        int count = (int)Math.Min(Math.Min(buffer.Length, MostAtOnce), Math.Min(length, FailsAfter) - _read);
        if (_read < Pause.After) count = (int)Math.Min(count, Pause.After - _read);
        for (int i = 0; i < count; i++) buffer.Span[i] = At(_read + i);
        Volatile.Write(ref _read, _read + count);
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        IsDisposed = true;
        base.Dispose(disposing);
    }
}
