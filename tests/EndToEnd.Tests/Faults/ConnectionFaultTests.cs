using System.Collections.Concurrent;
using System.Globalization;
using FastShare.EndToEnd.Tests.Processes;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.EndToEnd.Tests.Faults;

/// <summary>
/// Every fault of a connection, in every stage of a transfer, in both directions, over TCP on loopback: the transfer completes or fails with
/// a typed error, in time, and what stands under the final name is right.
/// </summary>
public sealed class ConnectionFaultTests : IDisposable
{
    private const int Length = 3_000_000;

    // Of what the sender sends: nothing yet, the handshake, identify and offer, chunks, the last of them.
    private static readonly int[] _forward = [0, 60, 700, 200_000, 2_999_000];

    // Of what the receiver sends: nothing yet, the handshake, then answers and plans.
    private static readonly int[] _backward = [0, 60, 500, 900, 1_300];

    // Longer than every silence that is noticed, and pauses between tries.
    private static readonly TimeSpan _hang = TimeSpan.FromSeconds(90);

    private readonly TestFolder _folder = new();
    private readonly string _file;

    public ConnectionFaultTests() => _file = FileTree.WriteFile(_folder["file.bin"], Length);

    // All at once: many wait until a silence is too long.
    [Fact]
    public async Task Transfer_ends_well_or_with_a_typed_error_whatever_happens_to_its_connection()
    {
        var silences = new HashSet<LinkFault> { LinkFault.Stall, LinkFault.Drip, LinkFault.Swallow };
        (SecurityMode Security, LinkFault Fault, bool Backward, int At)[] cases =
        [
            .. from security in (SecurityMode[])[SecurityMode.Noise, SecurityMode.InsecurePlaintext]
               from fault in Enum.GetValues<LinkFault>()
               where security == SecurityMode.Noise || !silences.Contains(fault) // which are the same to either
               from stage in _forward.Select(at => (Backward: false, At: at)).Concat(_backward.Select(at => (Backward: true, At: at)))
               select (security, fault, stage.Backward, stage.At),
        ];
        var wrong = new ConcurrentQueue<string>();
        int happened = 0;
        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (one, _) =>
        {
            try
            {
                if (await TryAsync(one.Security, one.Fault, one.Backward, one.At)) Interlocked.Increment(ref happened);
            }
            catch (Exception e)
            {
                wrong.Enqueue($"{one.Security}, {one.Fault} at {one.At} {(one.Backward ? "from" : "to")} the receiver: {e.GetType().Name} {e.Message}");
            }
        });
        Assert.True(wrong.IsEmpty, string.Join('\n', wrong));
        Assert.True(happened > cases.Length * 3 / 4, $"only {happened} of {cases.Length} faults happened");
    }

    // Whether the fault happened.
    private async Task<bool> TryAsync(SecurityMode security, LinkFault fault, bool backward, int at)
    {
        string into = _folder[$"{security}-{fault}-{backward}-{at}"];
        await using FastShareNode receiver = await FastShareNode.StartAsync(new FastShareOptions
        {
            Listen = [Multiaddr.Parse("/ip4/127.0.0.1/tcp/0")],
            Security = security,
            Consent = (_, _) => ValueTask.FromResult(OfferAnswer.Accept(into)),
        });
        int port = int.Parse(receiver.Swarm.ListenAddresses[0].ToString().Split('/')[4], CultureInfo.InvariantCulture);
        await using var link = new FaultyLink(port, fault, backward, at);
        await using FastShareNode sender = await FastShareNode.StartAsync(new FastShareOptions { Listen = [], Security = security });
        sender.Swarm.AddAddresses(receiver.Id, [Multiaddr.Parse($"/ip4/127.0.0.1/tcp/{link.Port}/p2p/{receiver.Id}")]);
        Transfer.Transfer sent = sender.Send(receiver.Id, [_file], new SendOptions { Connections = 1 });
        bool complete = false;
        try
        {
            TransferResult result = await sent.Completion.WaitAsync(_hang);
            Assert.Empty(result.Failures);
            complete = true;
        }
        catch (TransferException e)
        {
            Assert.NotEqual(TransferError.Unknown, e.Error);
        }

        string[] published = FileTree.Published(into);
        if (complete || published.Length > 0) Assert.Equal(["file.bin"], published);
        if (published.Length > 0) FileTree.AssertSameContent(_file, Path.Combine(into, "file.bin"));
        return link.Happened;
    }

    public void Dispose() => _folder.Dispose();
}
