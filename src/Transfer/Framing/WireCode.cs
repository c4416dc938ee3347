namespace FastShare.Transfer.Framing;

/// <summary>Why something failed, as it stands on the wire. Unknown values read as <see cref="Other"/>.</summary>
internal enum WireCode : ushort
{
    Other = 0,
    NoConsent = 1,
    QuotaExceeded = 2,
    Busy = 3,
    UnsupportedVersion = 4,
    UnsafeName = 5,
    ProtocolViolation = 6,
    VerificationFailed = 7,
    StorageFull = 8,
    AccessDenied = 9,
    DestinationExists = 10,
    AlreadyReceiving = 11,
    SourceChanged = 12,
    StorageFault = 13,
    Cancelled = 14,
    SourceNotFound = 15,
    NotRepeatable = 16,
}

/// <summary>Translates between what is told on the wire and what a caller is told.</summary>
internal static class WireCodes
{
    /// <summary>
    /// What the other side is told about a failure here. Causes that concern only this side's network are not told apart.
    /// </summary>
    public static WireCode ToWire(this TransferError error) => error switch
    {
        TransferError.Refused => WireCode.NoConsent,
        TransferError.Cancelled or TransferError.CancelledByPeer => WireCode.Cancelled,
        TransferError.ProtocolViolation => WireCode.ProtocolViolation,
        TransferError.VerificationFailed => WireCode.VerificationFailed,
        TransferError.UnsafeName => WireCode.UnsafeName,
        TransferError.StorageFull => WireCode.StorageFull,
        TransferError.AccessDenied => WireCode.AccessDenied,
        TransferError.DestinationExists => WireCode.DestinationExists,
        TransferError.AlreadyReceiving => WireCode.AlreadyReceiving,
        TransferError.SourceChanged => WireCode.SourceChanged,
        TransferError.SourceNotFound => WireCode.SourceNotFound,
        TransferError.StorageFault => WireCode.StorageFault,
        TransferError.NotRepeatable => WireCode.NotRepeatable,
        _ => WireCode.Other,
    };

    /// <summary>What a caller here is told about a failure on the other side.</summary>
    public static TransferError ToError(this WireCode code) => code switch
    {
        WireCode.NoConsent or WireCode.QuotaExceeded or WireCode.Busy or WireCode.UnsupportedVersion => TransferError.Refused,
        WireCode.UnsafeName => TransferError.UnsafeName,
        WireCode.ProtocolViolation => TransferError.ProtocolViolation,
        WireCode.VerificationFailed => TransferError.VerificationFailed,
        WireCode.StorageFull => TransferError.StorageFull,
        WireCode.AccessDenied => TransferError.AccessDenied,
        WireCode.DestinationExists => TransferError.DestinationExists,
        WireCode.AlreadyReceiving => TransferError.AlreadyReceiving,
        WireCode.SourceChanged => TransferError.SourceChanged,
        WireCode.SourceNotFound => TransferError.SourceNotFound,
        WireCode.StorageFault => TransferError.StorageFault,
        WireCode.NotRepeatable => TransferError.NotRepeatable,
        WireCode.Cancelled => TransferError.CancelledByPeer,
        _ => TransferError.Unknown,
    };
}
