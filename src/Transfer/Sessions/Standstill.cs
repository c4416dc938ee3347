namespace FastShare.Transfer.Sessions;

/// <summary>
/// Notices a data stream that stands still in the midst of a chunk, on a connection that lives and has nothing else to bring: then the sender
/// waits for credit that was lost on the way here. Encryption excludes that; in plaintext a flipped bit in a window update is enough, and
/// nobody but the receiver can know, since to a sender it looks like a receiver that takes its time. Used by one loop.
/// </summary>
/// <remarks>
/// The sender sends the chunk again over another stream. So it does where it only paused: that costs a part of one chunk.
/// </remarks>
internal sealed class Standstill(TimeProvider time)
{
    /// <summary>Patience, in seconds: more than a silence of the whole connection needs to be noticed, and less than a person's.</summary>
    public const int Seconds = 20;

    /// <summary>
    /// A connection that brings more than this meanwhile, in bytes, has a slow path, whose other streams' data this one waits behind.
    /// Keep-alives and pings are far less.
    /// </summary>
    public const int TalkBytes = 16 << 10;

    private long _since = time.GetTimestamp();
    private long _heard = -1;
    private long _brought;

    /// <summary>Whether it is so.</summary>
    /// <param name="isWithinChunk">Whether the stream's reader waits for the rest of a chunk.</param>
    /// <param name="heard">How often the stream has brought something.</param>
    /// <param name="brought">What its connection has brought, in bytes.</param>
    public bool Check(bool isWithinChunk, long heard, long brought)
    {
        if (!isWithinChunk || heard != _heard || brought - _brought > TalkBytes)
        {
            _since = time.GetTimestamp();
            _heard = heard;
            _brought = brought;
            return false;
        }

        return time.GetElapsedTime(_since).TotalSeconds >= Seconds;
    }
}
