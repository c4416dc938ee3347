using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

public sealed class AddressBookTests
{
    private static readonly PeerId Peer = PeerIdOf(1);

    private static PeerId PeerIdOf(int n)
    {
        byte[] multihash = new byte[34];
        multihash[0] = 0x12;
        multihash[1] = 32;
        BitConverter.TryWriteBytes(multihash.AsSpan(2), n);
        return PeerId.FromBytes(multihash);
    }

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.0.2.{n}/tcp/4001");

    private static Multiaddr[] Addresses(params int[] numbers) => [.. numbers.Select(Address)];

    [Fact]
    public void Peer_ids_are_cut_off_and_duplicates_merge()
    {
        var book = new AddressBook();
        book.Add(Peer, [Address(1).WithPeerId(Peer), Address(1), Address(2)], given: true);
        Assert.Equal(Addresses(1, 2), book.Get(Peer));
    }

    [Fact]
    public void Addresses_of_another_peer_are_left_out()
    {
        var book = new AddressBook();
        book.Add(Peer, [Address(1).WithPeerId(PeerIdOf(2)), Multiaddr.Parse($"/p2p/{Peer}")], given: true);
        Assert.Empty(book.Get(Peer));
        Assert.Empty(book.Get(PeerIdOf(2)));
    }

    [Fact]
    public void What_failed_is_tried_last_and_what_worked_first()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses(1, 2, 3), given: true);
        book.MarkFailed(Peer, Address(1));
        book.MarkGood(Peer, Address(3));
        Assert.Equal(Addresses(3, 2, 1), book.Get(Peer));
        book.Add(Peer, Addresses(4, 1), given: true);
        Assert.Equal(Addresses(3, 2, 4, 1), book.Get(Peer));
        book.MarkGood(Peer, Address(1));
        Assert.Equal(Addresses(1, 3, 2, 4), book.Get(Peer));
    }

    [Fact]
    public void Visitors_with_made_up_identities_do_not_push_out_given_peers()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses(1), given: true);
        for (int n = 2; n < AddressBook.MaxPeers + 50; n++) book.Add(PeerIdOf(n), Addresses(2), given: false);
        Assert.Equal(Addresses(1), book.Get(Peer));
        Assert.Empty(book.Get(PeerIdOf(2)));
        Assert.Equal(Addresses(2), book.Get(PeerIdOf(AddressBook.MaxPeers + 49)));
    }

    [Fact]
    public void Claimed_and_failed_addresses_are_forgotten_before_given_ones()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses([.. Enumerable.Range(1, 10)]), given: true);
        book.Add(Peer, Addresses([.. Enumerable.Range(11, 6)]), given: false);
        foreach (int n in Enumerable.Range(1, 10)) book.MarkFailed(Peer, Address(n));
        book.MarkFailed(Peer, Address(13));
        book.Add(Peer, Addresses(50), given: true);
        Assert.Equal(AddressBook.MaxAddresses, book.Get(Peer).Count);
        Assert.DoesNotContain(Address(13), book.Get(Peer));
        book.Add(Peer, Addresses([.. Enumerable.Range(51, 5)]), given: true);
        Assert.All(Enumerable.Range(1, 10), n => Assert.Contains(Address(n), book.Get(Peer)));
        Assert.All(Enumerable.Range(11, 6), n => Assert.DoesNotContain(Address(n), book.Get(Peer)));
        // A peer's own claims cannot push out what the user gave.
        book.Add(Peer, Addresses([.. Enumerable.Range(100, 100)]), given: false);
        Assert.All(Enumerable.Range(1, 10), n => Assert.Contains(Address(n), book.Get(Peer)));
    }

    [Fact]
    public void A_claimed_address_that_is_given_later_counts_as_given()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses(1), given: false);
        book.Add(Peer, Addresses(1), given: true);
        book.Add(Peer, Addresses([.. Enumerable.Range(2, 15)]), given: false);
        book.Add(Peer, Addresses(99), given: false);
        Assert.Contains(Address(1), book.Get(Peer));
    }

    [Fact]
    public void Removed_addresses_are_gone()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses(1, 2), given: true);
        book.Remove(Peer, [Address(1).WithPeerId(Peer)]);
        Assert.Equal(Addresses(2), book.Get(Peer));
        book.Remove(Peer, Addresses(2, 3));
        Assert.Empty(book.Get(Peer));
    }

    [Fact]
    public void The_peers_used_longest_ago_are_forgotten()
    {
        var book = new AddressBook();
        for (int n = 0; n < AddressBook.MaxPeers; n++) book.Add(PeerIdOf(n), Addresses(1), given: true);
        Assert.NotEmpty(book.Get(PeerIdOf(0)));
        for (int n = 0; n < 10; n++) book.Add(PeerIdOf(5000 + n), Addresses(1), given: true);
        Assert.NotEmpty(book.Get(PeerIdOf(0)));
        Assert.All(Enumerable.Range(1, 10), n => Assert.Empty(book.Get(PeerIdOf(n))));
        Assert.NotEmpty(book.Get(PeerIdOf(11)));
    }

    [Fact]
    public void A_claimed_address_that_fails_is_forgotten()
    {
        var book = new AddressBook();
        book.Add(Peer, Addresses(1, 2), given: false);
        book.MarkFailed(Peer, Address(1));
        Assert.Equal(Addresses(2), book.Get(Peer));
        book.MarkFailed(Peer, Address(2));
        Assert.Empty(book.Get(Peer));
        Assert.True(book.Add(Peer, Addresses(1), given: false)); // until it is claimed again
    }

    [Fact]
    public void A_given_address_that_fails_is_kept()
    {
        // Whoever gave it will not give it again: a peer that comes back must be found.
        var book = new AddressBook();
        book.Add(Peer, Addresses(1), given: true);
        for (int i = 0; i < 100; i++) book.MarkFailed(Peer, Address(1));
        Assert.Equal(Addresses(1), book.Get(Peer));
    }

    [Fact]
    public void A_new_address_is_told_from_a_known_one()
    {
        var book = new AddressBook();
        Assert.True(book.Add(Peer, Addresses(1), given: false));
        Assert.False(book.Add(Peer, Addresses(1), given: false));
        Assert.True(book.Add(Peer, Addresses(1), given: true)); // somebody vouches for it now
        Assert.False(book.Add(Peer, Addresses(1), given: true));
        Assert.True(book.Add(Peer, Addresses(1, 2), given: true));
        Assert.False(book.Add(Peer, [Address(3).WithPeerId(PeerIdOf(2))], given: true));
    }

    [Fact]
    public void A_hundred_claimants_with_ten_addresses_each_are_remembered()
    {
        var book = new AddressBook();
        for (int n = 0; n < 101; n++) book.Add(PeerIdOf(n), Addresses([.. Enumerable.Range(1, 12)]), given: false);
        Assert.Empty(book.Get(PeerIdOf(0)));
        Assert.Equal(Addresses([.. Enumerable.Range(3, 10)]), book.Get(PeerIdOf(1))); // the oldest ones went
        book.Add(PeerIdOf(500), Addresses(1), given: false);
        Assert.Empty(book.Get(PeerIdOf(2)));
        Assert.NotEmpty(book.Get(PeerIdOf(1))); // used since
    }
}
