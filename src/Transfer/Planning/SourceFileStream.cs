namespace FastShare.Transfer.Planning;

/// <summary>
/// A listed file read once from its start to its end, for a receiver that wants it as a stream. Fails if the file is no longer what was
/// listed. Used by one reader.
/// </summary>
internal sealed class SourceFileStream(SourceEntry source) : Stream
{
    private SourceFile? _file;
    private long _position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => _position;
        set => throw new NotSupportedException();
    }

    /// <exception cref="TransferException">It cannot be opened or read, or has changed.</exception>
    public override int Read(Span<byte> buffer)
    {
        _file ??= SourceFile.Open(source);
        int read = _file.Read(_position, buffer);
        if (read == 0 && _file.HasChanged())
            throw new TransferException(TransferError.SourceChanged, "it changed while it was being sent") { Path = source.Entry.Path };
        _position += read;
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        cancellationToken.IsCancellationRequested ? ValueTask.FromCanceled<int>(cancellationToken) : ValueTask.FromResult(Read(buffer.Span));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing) _file?.Dispose();
        base.Dispose(disposing);
    }
}
