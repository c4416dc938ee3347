using System.Net;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Dialing;

public sealed class LocalNetworkTests
{
    private static LocalNetwork Network() => new(new FakeTimeProvider(), () =>
    [
        new(IPAddress.Parse("127.0.0.1"), 8), new(IPAddress.Parse("192.168.4.7"), 22), new(IPAddress.Parse("2001:db8:1::7"), 64),
        new(IPAddress.Parse("10.9.8.7"), 32), new(IPAddress.Parse("203.0.113.5"), 0),
    ]);

    [Theory]
    [InlineData("/ip4/127.0.0.1/tcp/1", nameof(AddressScope.Host))]
    [InlineData("/ip4/127.9.9.9/tcp/1", nameof(AddressScope.Host))]
    [InlineData("/ip6/::1/tcp/1", nameof(AddressScope.Host))]
    [InlineData("/memory/bob", nameof(AddressScope.Host))]
    [InlineData("/dns4/localhost/tcp/1", nameof(AddressScope.Host))]
    [InlineData("/ip4/192.168.4.7/tcp/1", nameof(AddressScope.Host))]
    [InlineData("/ip4/192.168.7.255/tcp/1", nameof(AddressScope.Subnet))]
    [InlineData("/ip4/192.168.8.1/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip4/10.9.8.6/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip4/172.16.0.1/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip4/172.32.0.1/tcp/1", nameof(AddressScope.Public))]
    [InlineData("/ip4/100.64.3.4/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip6/fd12::1/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip6zone/1/ip6/fe80::1/tcp/1", nameof(AddressScope.Private))]
    [InlineData("/ip6/2001:db8:1::99/tcp/1", nameof(AddressScope.Subnet))]
    [InlineData("/ip6/2001:db8:2::99/tcp/1", nameof(AddressScope.Public))]
    [InlineData("/ip4/203.0.113.9/tcp/1", nameof(AddressScope.Public))]
    [InlineData("/dns4/example.org/tcp/1", nameof(AddressScope.Public))]
    [InlineData("/dns/printer.local/tcp/1", nameof(AddressScope.Private))]
    public void Scopes_follow_the_interfaces(string address, string scope) =>
        Assert.Equal(scope, Network().Classify(Multiaddr.Parse(address)).Scope.ToString());

    [Fact]
    public void Interfaces_are_listed_anew_when_the_list_is_old()
    {
        var time = new FakeTimeProvider();
        int listed = 0;
        var network = new LocalNetwork(time, () =>
        {
            listed++;
            return [];
        });
        network.Classify(Multiaddr.Parse("/ip4/8.8.8.8/tcp/1"));
        network.Classify(Multiaddr.Parse("/ip4/8.8.8.8/tcp/1"));
        Assert.Equal(1, listed);
        time.Advance(TimeSpan.FromSeconds(6));
        network.Classify(Multiaddr.Parse("/ip4/8.8.8.8/tcp/1"));
        Assert.Equal(2, listed);
    }

    [Fact]
    public void This_machine_has_its_loopback_address_last()
    {
        IReadOnlyList<LocalNetwork.InterfaceAddress> addresses = new LocalNetwork(TimeProvider.System).Addresses;
        Assert.Contains(addresses, a => a.Address.Equals(IPAddress.Loopback));
        Assert.True(IPAddress.IsLoopback(addresses[^1].Address));
    }
}
