using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using FastShare.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Testing.Transfer;

/// <summary>A sender that offers what no honest one does, over a real connection. For one caller at a time.</summary>
public sealed class HostileSender : IAsyncDisposable
{
    private readonly PeerIdentity _identity = PeerIdentity.Generate();
    private readonly Swarm _swarm;
    private readonly List<PeerStream> _streams = [];
    private PeerConnection? _connection;

    private HostileSender() => _swarm = new Swarm(new SwarmOptions { Identity = _identity });

    /// <summary>Offers files of these paths, of 1000 bytes each; returns how the receiver answered.</summary>
    /// <param name="address">The receiver's, ending in its peer id.</param>
    /// <param name="name">What the sender calls itself, whatever it holds.</param>
    /// <param name="paths">The paths, as they stand in the manifest.</param>
    /// <returns>The kind of the message that ended the offer, and its reason.</returns>
    public static async Task<(string Message, TransferError Reason)> OfferAsync(string address, string name, params string[] paths)
    {
        await using HostileSender sender = await ConnectAsync(address);
        return await sender.OfferAnotherAsync(name, paths);
    }

    /// <summary>Connects as a fresh peer.</summary>
    /// <param name="address">The receiver's, ending in its peer id.</param>
    public static async Task<HostileSender> ConnectAsync(string address)
    {
        var sender = new HostileSender();
        Multiaddr receiver = Multiaddr.Parse(address);
        sender._connection = await sender._swarm.ConnectAsync(receiver.PeerId!, [receiver]);
        return sender;
    }

    /// <summary>
    /// Makes one more offer, a transfer of its own, and leaves it open; otherwise as <see cref="OfferAsync"/>. A path that ends with a slash is
    /// a folder that nobody may enter.
    /// </summary>
    public async Task<(string Message, TransferError Reason)> OfferAnotherAsync(string name, params string[] paths)
    {
        PeerStream stream = await _connection!.OpenStreamAsync(TransferProtocol.ControlId);
        _streams.Add(stream);
        List<ManifestEntry> entries = [.. paths.Select((path, id) => path.EndsWith('/')
            ? new ManifestEntry((uint)id, EntryKind.Directory, path[..^1], 0, 0, 0, null)
            : new ManifestEntry((uint)id, EntryKind.File, path, 1000, -1, 0, null))];
        int files = entries.Count(entry => entry.HasContent);
        var offer = new Offer(RandomNumberGenerator.GetBytes(TransferId.KeyLength), 1, IsResume: false, ChunkSize.DefaultBits, 1, name);
        await SendAsync(stream, MessageType.Offer, offer.Write);
        await SendAsync(stream, MessageType.ManifestPage, writer => ManifestPage.Encode(entries, writer));
        await SendAsync(stream, MessageType.ManifestEnd, new ManifestEnd((uint)entries.Count, files, 1000 * files).Write);

        var reader = new ControlReader(stream.Input);
        while (await reader.ReadAsync(CancellationToken.None) is { } message)
        {
            if (message.Type is MessageType.Refuse or MessageType.Cancel)
                return (message.Type.ToString(), Ending.Parse(message.Type, message.Body).Code.ToError());
            if (message.Type == MessageType.Accept) return (message.Type.ToString(), TransferError.Unknown);
        }

        return ("end of the stream", TransferError.Unknown);
    }

    /// <summary>Ends the latest offer, for this reason.</summary>
    public Task CancelAsync(TransferError reason) => SendAsync(_streams[^1], MessageType.Cancel, new Ending(reason.ToWire(), "whatever").Write);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (PeerStream stream in _streams) await stream.DisposeAsync();
        await _swarm.DisposeAsync();
        _identity.Dispose();
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
