namespace FastShare.Transport.Security.Internal;

/// <summary>Reading messages of known length from a channel.</summary>
internal static class ByteChannelExtensions
{
    /// <summary>Fills <paramref name="destination"/> and reads nothing behind it; false if the channel ended first.</summary>
    public static async ValueTask<bool> TryReadExactlyAsync(
        this IByteChannel channel, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            int count = await channel.ReadAsync(destination, cancellationToken).ConfigureAwait(false);
            if (count == 0) return false;
            destination = destination[count..];
        }

        return true;
    }
}
