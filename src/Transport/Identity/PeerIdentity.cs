using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FastShare.Transport.Buffers;
using NSec.Cryptography;

namespace FastShare.Transport.Identity;

/// <summary>This node's own Ed25519 key pair and peer id. Thread-safe; disposing it wipes the key.</summary>
public sealed partial class PeerIdentity : IDisposable
{
    // Field 1 key type, field 2 seed followed by public key (libp2p peer-ids specification).
    private const int EncodedLength = 68;
    private readonly Key _key;

    private PeerIdentity(Key key)
    {
        _key = key;
        PublicKey = PublicKey.FromEd25519(key.PublicKey.Export(KeyBlobFormat.RawPublicKey));
        PeerId = PublicKey.ToPeerId();
    }

    /// <summary>The public half.</summary>
    public PublicKey PublicKey { get; }

    /// <summary>The peer id of <see cref="PublicKey"/>.</summary>
    public PeerId PeerId { get; }

    /// <summary>Makes a new random identity.</summary>
    public static PeerIdentity Generate() =>
        new(Key.Create(SignatureAlgorithm.Ed25519, new KeyCreationParameters { ExportPolicy = KeyExportPolicies.AllowPlaintextExport }));

    /// <summary>Makes the identity of a 32-byte Ed25519 seed (RFC 8032).</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidKey"/>.</exception>
    public static PeerIdentity FromSeed(ReadOnlySpan<byte> seed)
    {
        if (!Key.TryImport(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey, out Key? key,
                new KeyCreationParameters { ExportPolicy = KeyExportPolicies.AllowPlaintextExport }) || key is null)
            throw new TransportException(TransportError.InvalidKey, "an Ed25519 private key has 32 bytes");
        return new PeerIdentity(key);
    }

    /// <summary>Parses libp2p's protobuf private key (Ed25519 only).</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidKey"/>: malformed, another key type, or the halves do not match.</exception>
    public static PeerIdentity Decode(ReadOnlySpan<byte> message)
    {
        ulong type = ulong.MaxValue;
        ReadOnlySpan<byte> data = default;
        try
        {
            var reader = new ProtobufReader(message);
            while (reader.Read())
            {
                if (reader is { Field: 1, WireType: 0 }) type = reader.Varint;
                else if (reader is { Field: 2, WireType: 2 }) data = reader.Bytes;
            }
        }
        catch (FormatException e)
        {
            throw new TransportException(TransportError.InvalidKey, "the private key is malformed", e);
        }

        if (type != (ulong)KeyType.Ed25519) throw new TransportException(TransportError.InvalidKey, "only Ed25519 private keys are supported");
        // 96 bytes: a legacy form that repeats the public key
        if (data.Length is not (64 or 96) || (data.Length == 96 && !data[32..64].SequenceEqual(data[64..])))
            throw new TransportException(TransportError.InvalidKey, "the private key is malformed");
        PeerIdentity identity = FromSeed(data[..32]);
        if (identity.PublicKey.Data.SequenceEqual(data[32..64])) return identity;
        identity.Dispose();
        throw new TransportException(TransportError.InvalidKey, "the private key does not match its public half");
    }

    /// <summary>libp2p's protobuf private key. The caller keeps it secret.</summary>
    public byte[] Encode()
    {
        byte[] seed = _key.Export(KeyBlobFormat.RawPrivateKey);
        try
        {
            return [0x08, (byte)KeyType.Ed25519, 0x12, 64, .. seed, .. PublicKey.Data];
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>Signs <paramref name="message"/>: 64 bytes (RFC 8032).</summary>
    public byte[] Sign(ReadOnlySpan<byte> message) => SignatureAlgorithm.Ed25519.Sign(_key, message);

    /// <summary>Reads the key file at <paramref name="path"/>, or makes a new identity and that file, readable by its owner only.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidKey"/>: the file is not a key, or others can read it;
    /// <see cref="TransportError.Io"/> or <see cref="TransportError.AccessDenied"/>: it cannot be read or made.</exception>
    public static PeerIdentity LoadOrCreate(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            return File.Exists(path) ? Load(path) : Create(path);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new TransportException(TransportError.AccessDenied, $"cannot use the key file '{path}': {e.Message}", e);
        }
        catch (IOException e) when (e is not TransportException)
        {
            throw new TransportException(TransportError.Io, $"cannot use the key file '{path}': {e.Message}", e);
        }
    }

    private static PeerIdentity Load(string path)
    {
        byte[] encoded = new byte[EncodedLength + 33];
        try
        {
            int length;
            using (FileStream file = File.OpenRead(path))
            {
                if (!OperatingSystem.IsWindows()) CheckMode(path, File.GetUnixFileMode(file.SafeFileHandle));
                length = file.ReadAtLeast(encoded, encoded.Length, throwOnEndOfStream: false);
            }

            try
            {
                return Decode(encoded.AsSpan(0, length));
            }
            catch (TransportException e)
            {
                throw new TransportException(TransportError.InvalidKey, $"'{path}' is not a key file: {e.Message}. Move it away to let a new identity be made.", e);
            }
        }
        finally
        {
            CryptographicOperations.ZeroMemory(encoded);
        }
    }

    private static void CheckMode(string path, UnixFileMode mode)
    {
        const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if ((mode & Others) != 0)
            throw new TransportException(TransportError.InvalidKey, $"the key file '{path}' is open to other users; run: chmod 600 '{path}'");
    }

    // Written beside its place and published there without replacing, so that two processes starting at once end with one key.
    private static PeerIdentity Create(string path)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        PeerIdentity identity = Generate();
        string temporary = $"{path}.{Environment.ProcessId}-{Guid.NewGuid():N}";
        byte[] encoded = identity.Encode();
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (var file = new FileStream(temporary, options))
            {
                file.Write(encoded);
                file.Flush(flushToDisk: true);
            }

            if (Publish(temporary, path)) return identity;
            identity.Dispose(); // another process was first: its key counts
            return Load(path);
        }
        catch
        {
            identity.Dispose();
            throw;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(encoded);
            File.Delete(temporary);
        }
    }

    // False: there is a file at the path already. File.Move looks and then renames on Unix, so that of two processes both would
    // win and keep different keys; link(2) decides in one step.
    private static bool Publish(string temporary, string path)
    {
        if (!OperatingSystem.IsWindows())
        {
            if (Link(temporary, path) == 0) return true;
            if (Marshal.GetLastPInvokeError() == ExistsError) return false;
            // a file system without hard links: the move's small race remains
        }

        try
        {
            File.Move(temporary, path, overwrite: false);
            return true;
        }
        catch (IOException) when (File.Exists(path))
        {
            return false;
        }
    }

    // EEXIST: 17 on Linux, macOS and the BSDs
    private const int ExistsError = 17;

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string name);

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();
}
