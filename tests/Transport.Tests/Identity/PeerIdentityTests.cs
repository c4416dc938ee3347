using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Identity;

public sealed class PeerIdentityTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _folder = Directory.CreateTempSubdirectory("fastshare-identity-").FullName;

    private string KeyPath => Path.Combine(_folder, "nested", "key");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_specification_key_decodes_signs_and_encodes()
    {
        using PeerIdentity identity = PeerIdentity.Decode(IdentityVectors.Bytes(IdentityVectors.Ed25519Private));
        Assert.Equal(IdentityVectors.Ed25519Id, identity.PeerId.ToString());
        Assert.Equal(IdentityVectors.Ed25519Public, Convert.ToHexStringLower(identity.PublicKey.Encode()));
        Assert.Equal(IdentityVectors.Ed25519Private, Convert.ToHexStringLower(identity.Encode()));
        Assert.True(identity.PublicKey.Verify("x"u8, identity.Sign("x"u8)));
    }

    [Fact]
    public void The_legacy_form_is_taken_only_when_both_public_halves_match()
    {
        byte[] plain = IdentityVectors.Bytes(IdentityVectors.Ed25519Private);
        byte[] legacy = [0x08, 0x01, 0x12, 96, .. plain.AsSpan(4), .. plain.AsSpan(36)];
        using (PeerIdentity identity = PeerIdentity.Decode(legacy)) Assert.Equal(IdentityVectors.Ed25519Id, identity.PeerId.ToString());
        legacy[^1] ^= 1;
        Assert.Equal(TransportError.InvalidKey, Assert.Throws<TransportException>(() => PeerIdentity.Decode(legacy)).Error);
    }

    [Fact]
    public void A_private_key_with_another_public_half_is_refused()
    {
        byte[] key = IdentityVectors.Bytes(IdentityVectors.Ed25519Private);
        key[^1] ^= 1;
        Assert.Equal(TransportError.InvalidKey, Assert.Throws<TransportException>(() => PeerIdentity.Decode(key)).Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0801")]
    [InlineData("08021220" + IdentityVectors.Secp256k1PrivateScalar)]
    [InlineData("08011220" + IdentityVectors.Secp256k1PrivateScalar)]
    [InlineData("080112ff")]
    [InlineData("ffffffffffffffffffffffff")]
    public void Malformed_private_keys_are_refused(string hex) =>
        Assert.Equal(TransportError.InvalidKey, Assert.Throws<TransportException>(() => PeerIdentity.Decode(IdentityVectors.Bytes(hex))).Error);

    [Fact]
    public void Altered_private_keys_give_a_typed_error_only()
    {
        var random = new Random(31);
        byte[] seed = IdentityVectors.Bytes(IdentityVectors.Ed25519Private);
        for (int i = 0; i < 5_000; i++)
        {
            byte[] bytes = Fuzz.Alter(random, seed);
            try
            {
                PeerIdentity.Decode(bytes).Dispose();
            }
            catch (TransportException e)
            {
                Assert.Equal(TransportError.InvalidKey, e.Error);
            }
        }
    }

    [Fact]
    public void The_key_file_is_made_once_for_its_owner_only()
    {
        using PeerIdentity first = PeerIdentity.LoadOrCreate(KeyPath);
        using PeerIdentity second = PeerIdentity.LoadOrCreate(KeyPath);
        Assert.Equal(first.PeerId, second.PeerId);
        Assert.Equal([KeyPath], Directory.GetFiles(Path.GetDirectoryName(KeyPath)!));
        if (OperatingSystem.IsWindows()) return;
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(KeyPath));
        Assert.Equal(OwnerOnly | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(KeyPath)!));
    }

    [Fact]
    public async Task Threads_that_start_at_once_get_one_key()
    {
        for (int round = 0; round < 20; round++)
        {
            string path = Path.Combine(_folder, $"race-{round}", "key");
            using var gate = new Barrier(4);
            PeerId[] ids = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(
                () =>
                {
                    gate.SignalAndWait();
                    using PeerIdentity identity = PeerIdentity.LoadOrCreate(path);
                    return identity.PeerId;
                },
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
            Assert.Single(ids.Distinct());
            using PeerIdentity stored = PeerIdentity.LoadOrCreate(path);
            Assert.Equal(ids[0], stored.PeerId);
            Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
        }
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_key_file_open_to_others_is_refused_with_the_way_out(UnixFileMode extra)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Windows has no Unix file modes.");
            return;
        }

        PeerIdentity.LoadOrCreate(KeyPath).Dispose();
        File.SetUnixFileMode(KeyPath, OwnerOnly | extra);
        TransportException error = Assert.Throws<TransportException>(() => PeerIdentity.LoadOrCreate(KeyPath));
        Assert.Equal(TransportError.InvalidKey, error.Error);
        Assert.Contains("chmod 600", error.Message, StringComparison.Ordinal);
        Assert.Contains(KeyPath, error.Message, StringComparison.Ordinal);
        File.SetUnixFileMode(KeyPath, OwnerOnly);
        PeerIdentity.LoadOrCreate(KeyPath).Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(68)]
    [InlineData(100_000)]
    public void A_file_that_is_no_key_is_named_and_kept(int length)
    {
        byte[] garbage = new byte[length];
        new Random(length).NextBytes(garbage);
        Directory.CreateDirectory(Path.GetDirectoryName(KeyPath)!);
        File.WriteAllBytes(KeyPath, garbage);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(KeyPath, OwnerOnly);
        TransportException error = Assert.Throws<TransportException>(() => PeerIdentity.LoadOrCreate(KeyPath));
        Assert.Equal(TransportError.InvalidKey, error.Error);
        Assert.Contains($"'{KeyPath}' is not a key file", error.Message, StringComparison.Ordinal);
        Assert.Contains("Move it away", error.Message, StringComparison.Ordinal);
        Assert.Equal(garbage, File.ReadAllBytes(KeyPath));
    }

    [Fact]
    public void A_key_file_with_bytes_behind_the_key_is_no_key()
    {
        PeerIdentity.LoadOrCreate(KeyPath).Dispose();
        using (FileStream file = File.Open(KeyPath, FileMode.Append)) file.Write(new byte[200]);
        Assert.Equal(TransportError.InvalidKey, Assert.Throws<TransportException>(() => PeerIdentity.LoadOrCreate(KeyPath)).Error);
    }

    [Fact]
    public void A_folder_in_the_files_place_is_a_typed_error()
    {
        Directory.CreateDirectory(KeyPath);
        TransportException error = Assert.Throws<TransportException>(() => PeerIdentity.LoadOrCreate(KeyPath));
        Assert.Contains(error.Error, new[] { TransportError.Io, TransportError.AccessDenied });
        Assert.Contains(KeyPath, error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(Path.GetDirectoryName(KeyPath)!));
    }

    [Fact]
    public void A_file_in_the_folders_place_is_a_typed_error()
    {
        File.WriteAllText(Path.Combine(_folder, "nested"), "");
        TransportException error = Assert.Throws<TransportException>(() => PeerIdentity.LoadOrCreate(KeyPath));
        Assert.Equal(TransportError.Io, error.Error);
    }
}
