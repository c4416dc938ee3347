namespace FastShare.Transfer.Storage.Internal;

/// <summary>Holes where a system has none: zeros, as far as the file reaches.</summary>
internal static class StorageZeros
{
    private static readonly byte[] Zeros = new byte[64 << 10];

    public static void Write(IStorageFile file, long offset, long length)
    {
        long end = Math.Min(file.Stat().Size, offset + length);
        for (; offset < end; offset += Zeros.Length) file.Write(offset, Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, end - offset)));
    }
}
