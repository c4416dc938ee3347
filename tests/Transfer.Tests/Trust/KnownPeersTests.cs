using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Tests.Trust;

public sealed class KnownPeersTests : IDisposable
{
    private static readonly PeerId _a = NewId(), _b = NewId();

    private readonly string _folder = Directory.CreateTempSubdirectory("fastshare-known-").FullName;

    private string FilePath => Path.Combine(_folder, "settings", "known-peers");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Nobody_is_known_at_first_and_no_file_is_made()
    {
        KnownPeers known = KnownPeers.Open(FilePath);
        Assert.Empty(known.All);
        Assert.Null(known.Find(_a));
        Assert.Null(known.Impersonated(_a, "laptop"));
        Assert.False(known.Forget(_a));
        Assert.False(File.Exists(FilePath));
    }

    [Fact]
    public void A_peer_is_remembered_with_its_name_in_a_private_file()
    {
        KnownPeers.Open(FilePath).Remember(_a, "Anna's laptop 💻", PeerTrust.Met);
        KnownPeer there = Assert.Single(KnownPeers.Open(FilePath).All);
        Assert.Equal((_a, "Anna's laptop 💻", PeerTrust.Met), (there.Id, there.Name, there.Trust));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(FilePath));
    }

    [Fact]
    public void Trust_rises_and_never_falls_and_the_name_stays()
    {
        KnownPeers known = KnownPeers.Open(FilePath);
        known.Remember(_a, "laptop", PeerTrust.Met);
        known.Remember(_a, "other name", PeerTrust.Trusted);
        known.Remember(_a, "laptop", PeerTrust.Met);
        KnownPeer there = KnownPeers.Open(FilePath).Find(_a)!;
        Assert.Equal(("laptop", PeerTrust.Trusted), (there.Name, there.Trust));
    }

    [Theory]
    [InlineData("laptop")]
    [InlineData("LAPTOP")]
    [InlineData(" laptop ")]
    [InlineData("lap\u200btop")] // with a space of no width
    public void A_known_name_with_another_key_is_an_alarm(string name)
    {
        KnownPeers known = KnownPeers.Open(FilePath);
        known.Remember(_a, "laptop", PeerTrust.Trusted);
        Assert.Equal(_a, known.Impersonated(_b, name)!.Id);
        Assert.Null(known.Impersonated(_a, name));
        Assert.Null(known.Impersonated(_b, "desktop"));
        var error = Assert.Throws<TransferException>(() => known.Remember(_b, name, PeerTrust.Met));
        Assert.Equal(TransferError.DestinationExists, error.Error);
        Assert.Contains(_a.ToString(), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Forgetting_frees_the_name()
    {
        KnownPeers known = KnownPeers.Open(FilePath);
        known.Remember(_a, "laptop", PeerTrust.Trusted);
        Assert.True(known.Forget(_a));
        Assert.Null(known.Impersonated(_b, "laptop"));
        known.Remember(_b, "laptop", PeerTrust.Met);
        Assert.Equal(_b, KnownPeers.Open(FilePath).FindByName("laptop")!.Id);
    }

    [Theory]
    [InlineData("two\nlines 12D3KooW trusted", "two\uFFFDlines 12D3KooW trusted")]
    [InlineData("\u001b[31mred", "\uFFFD[31mred")]
    public void A_name_cannot_break_the_file(string name, string kept)
    {
        KnownPeers.Open(FilePath).Remember(_a, name, PeerTrust.Met);
        Assert.Equal(kept, Assert.Single(KnownPeers.Open(FilePath).All).Name);
    }

    [Fact]
    public void A_name_that_is_no_text_can_be_remembered()
    {
        KnownPeers.Open(FilePath).Remember(_a, "half \ud83d", PeerTrust.Met);
        Assert.Equal("half \uFFFD", Assert.Single(KnownPeers.Open(FilePath).All).Name);
    }

    [Fact]
    public void A_peer_without_a_name_is_known_by_its_id()
    {
        KnownPeers.Open(FilePath).Remember(_a, "", PeerTrust.Met);
        Assert.Equal(_a.ToShortString(), Assert.Single(KnownPeers.Open(FilePath).All).Name);
    }

    [Fact]
    public void Comments_are_kept()
    {
        KnownPeers.Open(FilePath).Remember(_a, "laptop", PeerTrust.Met);
        File.AppendAllText(FilePath, "# mine\n\n");
        KnownPeers.Open(FilePath).Remember(_b, "desktop", PeerTrust.Met);
        Assert.Contains("# mine", File.ReadAllLines(FilePath));
        Assert.Equal(2, KnownPeers.Open(FilePath).All.Count);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("12D3KooWnotapeerid met 2026-01-01 name")]
    public void A_line_that_is_not_understood_is_told_rather_than_lost(string line)
    {
        KnownPeers.Open(FilePath).Remember(_a, "laptop", PeerTrust.Met);
        File.AppendAllText(FilePath, line + "\n");
        var error = Assert.Throws<TransferException>(() => KnownPeers.Open(FilePath));
        Assert.Equal(TransferError.StorageFault, error.Error);
        Assert.Contains("line 3", error.Message, StringComparison.Ordinal);
        Assert.Equal(FilePath, error.Path);
    }

    [Theory]
    [InlineData("met 2026-01-01 name")]
    [InlineData("friend 2026-01-01 name")]
    [InlineData("met 1.1.2026 name")]
    [InlineData("met 2026-01-01 ")]
    public void So_is_one_whose_fields_are_wrong(string rest)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(FilePath)!);
        File.WriteAllText(FilePath, $"{_a} {rest}\n");
        if (rest == "met 2026-01-01 name") Assert.Single(KnownPeers.Open(FilePath).All);
        else Assert.Throws<TransferException>(() => KnownPeers.Open(FilePath));
    }

    [Fact]
    public void Several_processes_lose_nothing_of_each_other()
    {
        KnownPeers[] processes = [.. Enumerable.Range(0, 4).Select(_ => KnownPeers.Open(FilePath))];
        PeerId[] ids = [.. Enumerable.Range(0, 40).Select(_ => NewId())];
        Parallel.For(0, ids.Length, i => processes[i % 4].Remember(ids[i], $"peer {i}", PeerTrust.Met));
        Assert.Equal(ids.ToHashSet(), KnownPeers.Open(FilePath).All.Select(known => known.Id).ToHashSet());
    }

    private static PeerId NewId()
    {
        using var identity = PeerIdentity.Generate();
        return identity.PeerId;
    }
}
