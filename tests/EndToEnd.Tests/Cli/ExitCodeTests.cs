using FastShare.Cli.Hosting;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.EndToEnd.Tests.Cli;

public sealed class ExitCodeTests
{
    [Theory]
    [InlineData(TransferError.Unknown, 1)]
    [InlineData(TransferError.PeerNotReachable, 3)]
    [InlineData(TransferError.IdentityChanged, 3)]
    [InlineData(TransferError.ConnectionLost, 3)]
    [InlineData(TransferError.Refused, 4)]
    [InlineData(TransferError.CancelledByPeer, 1)]
    [InlineData(TransferError.Cancelled, 130)]
    [InlineData(TransferError.ProtocolViolation, 1)]
    [InlineData(TransferError.VerificationFailed, 5)]
    [InlineData(TransferError.UnsafeName, 6)]
    [InlineData(TransferError.StorageFull, 6)]
    [InlineData(TransferError.AccessDenied, 6)]
    [InlineData(TransferError.DestinationExists, 6)]
    [InlineData(TransferError.AlreadyReceiving, 1)]
    [InlineData(TransferError.SourceChanged, 1)]
    [InlineData(TransferError.SourceNotFound, 6)]
    [InlineData(TransferError.StorageFault, 6)]
    [InlineData(TransferError.NotRepeatable, 1)]
    public void Transfer_error_has_its_code(TransferError error, int code) =>
        Assert.Equal(code, ExitCodes.For(new TransferException(error, "")));

    [Theory]
    [InlineData(TransportError.DialFailure, 3)]
    [InlineData(TransportError.NoAddresses, 3)]
    [InlineData(TransportError.Timeout, 3)]
    [InlineData(TransportError.PeerIdMismatch, 3)]
    [InlineData(TransportError.AddressInUse, 1)]
    [InlineData(TransportError.InvalidKey, 1)]
    [InlineData(TransportError.UnsupportedProtocol, 1)]
    public void Transport_error_has_its_code(TransportError error, int code) =>
        Assert.Equal(code, ExitCodes.For(new TransportException(error, "")));

    [Fact]
    public void Every_transfer_error_is_considered() => Assert.Equal(18, Enum.GetValues<TransferError>().Length);

    [Fact]
    public void Failed_files_share_their_code_or_the_general_one()
    {
        var exists = new TransferException(TransferError.DestinationExists, "");
        var full = new TransferException(TransferError.StorageFull, "");
        var corrupt = new TransferException(TransferError.VerificationFailed, "");
        Assert.Equal(0, ExitCodes.For([]));
        Assert.Equal(6, ExitCodes.For([exists, full]));
        Assert.Equal(5, ExitCodes.For([corrupt]));
        Assert.Equal(1, ExitCodes.For([exists, corrupt]));
    }

    [Fact]
    public void Sources_that_could_not_be_sent_are_no_fault_of_a_destination()
    {
        var rejected = new TransferException(TransferError.AccessDenied, "") { Peer = PeerIdentity.Generate().PeerId };
        var unreadable = new TransferException(TransferError.AccessDenied, "");
        Assert.Equal(0, ExitCodes.ForSent([]));
        Assert.Equal(6, ExitCodes.ForSent([rejected]));
        Assert.Equal(1, ExitCodes.ForSent([unreadable]));
        Assert.Equal(1, ExitCodes.ForSent([rejected, unreadable]));
    }

    [Fact]
    public void Kind_is_the_error_in_camel_case()
    {
        Assert.Equal("peerNotReachable", ExitCodes.KindOf(new TransferException(TransferError.PeerNotReachable, "")));
        Assert.Equal("dialFailure", ExitCodes.KindOf(new TransportException(TransportError.DialFailure, "")));
        Assert.Equal("cancelled", ExitCodes.KindOf(new OperationCanceledException()));
        Assert.Equal("usage", ExitCodes.KindOf(new UsageException("")));
    }
}
