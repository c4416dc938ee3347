namespace FastShare.Transfer.Tests.Storage;

/// <summary>Asserts how something fails.</summary>
internal static class Failing
{
    /// <summary>It throws a <see cref="TransferException"/> of this kind, which is returned.</summary>
    public static TransferException With(TransferError error, Func<object?> call) => With(error, () => { call(); });

    /// <summary>It throws a <see cref="TransferException"/> of this kind, which is returned.</summary>
    public static TransferException With(TransferError error, Action call)
    {
        var e = Assert.Throws<TransferException>(call);
        Assert.True(e.Error == error, $"{error} expected, but: {e}");
        return e;
    }
}
