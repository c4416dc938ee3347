using System.IO.Pipelines;

namespace FastShare.Transfer;

/// <summary>
/// Where the bytes of one received entry go instead of into a file: in order, as fast as they are taken, which holds the sender back.
/// </summary>
/// <remarks>
/// Each chunk is verified before it is written. The end is verified too, before the sink is completed: a pipe completes without an exception
/// exactly if everything came and is right. A stream cannot tell its reader about a failure; who reads behind it has to look at
/// <see cref="Transfer.Completion"/>.
/// </remarks>
public sealed class TransferSink
{
    private TransferSink(PipeWriter? pipe, Stream? stream, bool leaveOpen)
    {
        Pipe = pipe;
        Stream = stream;
        LeaveOpen = leaveOpen;
    }

    internal PipeWriter? Pipe { get; }

    internal Stream? Stream { get; }

    internal bool LeaveOpen { get; }

    /// <summary>Into a stream, which is flushed at the verified end.</summary>
    /// <param name="stream">Writable.</param>
    /// <param name="leaveOpen">Whether it stays open when the entry ends, well or badly; otherwise it is disposed then.</param>
    public static TransferSink ToStream(Stream stream, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanWrite) throw new ArgumentException("the stream cannot be written", nameof(stream));
        return new TransferSink(null, stream, leaveOpen);
    }

    /// <summary>Into a pipe, which is completed at the verified end, or with the <see cref="TransferException"/> that came instead.</summary>
    public static TransferSink ToPipe(PipeWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        return new TransferSink(writer, null, leaveOpen: false);
    }
}

/// <summary>A file or stream that is about to be received.</summary>
/// <param name="Path">Its path in the transfer, validated but not escaped.</param>
/// <param name="Length">Its size; null: nobody knows yet.</param>
public sealed record IncomingEntry(string Path, long? Length);

/// <summary>
/// Says where an entry's bytes go. Called for one entry at a time, in the manifest's order, when everything before it was delivered. The token
/// fires when the transfer ends.
/// </summary>
public delegate ValueTask<TransferSink> SinkFactory(IncomingEntry entry, CancellationToken cancellationToken);
