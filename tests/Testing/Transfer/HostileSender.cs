using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using FastShare.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Testing.Transfer;

/// <summary>A sender that offers what no honest one does, over a real connection.</summary>
public static class HostileSender
{
    /// <summary>Offers files of these paths, of 1000 bytes each; returns how the receiver answered.</summary>
    /// <param name="address">The receiver's, ending in its peer id.</param>
    /// <param name="name">What the sender calls itself, whatever it holds.</param>
    /// <param name="paths">The paths, as they stand in the manifest.</param>
    /// <returns>The kind of the message that ended the offer, and its reason.</returns>
    public static async Task<(string Message, TransferError Reason)> OfferAsync(string address, string name, params string[] paths)
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        await using var swarm = new Swarm(new SwarmOptions { Identity = identity });
        Multiaddr receiver = Multiaddr.Parse(address);
        PeerConnection connection = await swarm.ConnectAsync(receiver.PeerId!, [receiver]);
        await using PeerStream stream = await connection.OpenStreamAsync(TransferProtocol.ControlId);

        List<ManifestEntry> entries = [.. paths.Select((path, id) => new ManifestEntry((uint)id, EntryKind.File, path, 1000, -1, 0, null))];
        var offer = new Offer(RandomNumberGenerator.GetBytes(TransferId.KeyLength), 1, IsResume: false, ChunkSize.DefaultBits, 1, name);
        await SendAsync(stream, MessageType.Offer, offer.Write);
        await SendAsync(stream, MessageType.ManifestPage, writer => ManifestPage.Encode(entries, writer));
        await SendAsync(stream, MessageType.ManifestEnd, new ManifestEnd((uint)entries.Count, entries.Count, 1000 * entries.Count).Write);

        var reader = new ControlReader(stream.Input);
        while (await reader.ReadAsync(CancellationToken.None) is { } message)
        {
            if (message.Type is MessageType.Refuse or MessageType.Cancel)
                return (message.Type.ToString(), Ending.Parse(message.Type, message.Body).Code.ToError());
            if (message.Type == MessageType.Accept) return (message.Type.ToString(), TransferError.Unknown);
        }

        return ("end of the stream", TransferError.Unknown);
    }

    private static async Task SendAsync(PeerStream stream, MessageType type, Action<IBufferWriter<byte>> write)
    {
        var body = new ArrayBufferWriter<byte>();
        write(body);
        byte[] message = new byte[5 + body.WrittenCount + WireCheck.Size];
        BinaryPrimitives.WriteUInt32BigEndian(message, (uint)(1 + body.WrittenCount));
        message[4] = (byte)type;
        body.WrittenSpan.CopyTo(message.AsSpan(5));
        WireCheck.Write(message);
        await stream.Output.WriteAsync(message);
    }
}
