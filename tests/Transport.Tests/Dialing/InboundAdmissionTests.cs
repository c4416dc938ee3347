using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Dialing;

public sealed class InboundAdmissionTests
{
    private readonly FakeTimeProvider _time = new();

    private static Multiaddr From(string ip) =>
        Multiaddr.Parse(ip.Contains(':', StringComparison.Ordinal) ? $"/ip6/{ip}/tcp/999" : $"/ip4/{ip}/tcp/999");

    private bool _isFull;

    private InboundAdmission Admission(int pending = 100, int perSource = 100) => new(pending, perSource, () => _isFull, _time);

    private static InboundAdmission.Ticket? Enter(InboundAdmission admission, string ip)
    {
        InboundAdmission.Ticket? ticket = admission.TryEnter(From(ip), out TimeSpan? retryIn);
        Assert.Null(retryIn);
        return ticket;
    }

    [Fact]
    public void One_source_cannot_take_all_places()
    {
        InboundAdmission admission = Admission(perSource: 2);
        InboundAdmission.Ticket? first = Enter(admission, "192.0.2.1");
        Assert.NotNull(Enter(admission, "192.0.2.1"));
        Assert.Null(Enter(admission, "192.0.2.1"));
        Assert.NotNull(Enter(admission, "192.0.2.2"));
        first!.Dispose();
        first.Dispose();
        Assert.NotNull(Enter(admission, "192.0.2.1"));
        Assert.Null(Enter(admission, "192.0.2.1"));
    }

    [Fact]
    public void Addresses_of_one_ip6_customer_count_as_one_source()
    {
        InboundAdmission admission = Admission(perSource: 1);
        Assert.NotNull(Enter(admission, "2001:db8:0:1::1"));
        Assert.Null(Enter(admission, "2001:db8:0:ff::2"));
        Assert.NotNull(Enter(admission, "2001:db8:0:100::2"));
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void This_machine_is_not_limited_as_a_source(string ip)
    {
        InboundAdmission admission = Admission(perSource: 1);
        for (int i = 0; i < 10; i++) Assert.NotNull(Enter(admission, ip));
    }

    [Fact]
    public void Nobody_enters_while_no_connection_could_be_kept()
    {
        InboundAdmission admission = Admission();
        Assert.NotNull(Enter(admission, "192.0.2.1"));
        _isFull = true;
        Assert.Null(Enter(admission, "192.0.2.2"));
        _isFull = false;
        Assert.NotNull(Enter(admission, "192.0.2.2"));
    }

    [Fact]
    public void A_burst_waits_for_its_turn()
    {
        InboundAdmission admission = Admission(pending: 2);
        InboundAdmission.Ticket first = Enter(admission, "127.0.0.1")!;
        Enter(admission, "127.0.0.1");
        _time.Advance(TimeSpan.FromMilliseconds(100));
        Task room = admission.Room;
        Assert.Null(admission.TryEnter(From("127.0.0.1"), out TimeSpan? retryIn));
        Assert.Equal(InboundAdmission.Grace - TimeSpan.FromMilliseconds(100), retryIn);
        Assert.False(room.IsCompleted);
        Assert.False(first.Evicted.IsCancellationRequested);
        Assert.True(first.Promote());
        Assert.True(room.IsCompleted);
        Assert.NotNull(Enter(admission, "127.0.0.1"));
    }

    [Fact]
    public void The_longest_negotiation_makes_room_after_its_grace()
    {
        InboundAdmission admission = Admission(pending: 2);
        InboundAdmission.Ticket slow = Enter(admission, "192.0.2.1")!;
        _time.Advance(TimeSpan.FromMilliseconds(1));
        InboundAdmission.Ticket second = Enter(admission, "192.0.2.1")!;
        _time.Advance(InboundAdmission.Grace);
        Assert.NotNull(Enter(admission, "192.0.2.9"));
        Assert.True(slow.Evicted.IsCancellationRequested);
        Assert.False(slow.Promote());
        Assert.False(second.Evicted.IsCancellationRequested);
        slow.Dispose();
        Assert.Equal(2, admission.Total);
    }

    [Fact]
    public void Every_place_comes_back()
    {
        InboundAdmission admission = Admission(pending: 10, perSource: 5);
        var random = new Random(7);
        var held = new List<InboundAdmission.Ticket>();
        for (int i = 0; i < 20_000; i++)
        {
            if (random.Next(2) == 0)
            {
                if (admission.TryEnter(From($"192.0.2.{random.Next(40)}"), out _) is { } ticket) held.Add(ticket);
            }
            else if (held.Count > 0)
            {
                InboundAdmission.Ticket ticket = held[random.Next(held.Count)];
                if (random.Next(3) == 0)
                {
                    ticket.Promote();
                    continue;
                }

                ticket.Dispose();
                held.Remove(ticket);
            }

            if (random.Next(10) == 0) _time.Advance(TimeSpan.FromMilliseconds(100));
            Assert.Equal(held.Count, admission.Total);
        }

        held.ForEach(t => t.Dispose());
        Assert.Equal(0, admission.Total);
        for (int i = 0; i < 5; i++) Assert.NotNull(Enter(admission, "192.0.2.1"));
    }
}
