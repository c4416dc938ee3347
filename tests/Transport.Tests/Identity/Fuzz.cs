namespace FastShare.Transport.Tests.Identity;

/// <summary>Reproducible alterations of well-formed input.</summary>
internal static class Fuzz
{
    /// <summary>A copy of <paramref name="seed"/> with a few bytes changed, inserted, removed, or the end cut or extended.</summary>
    public static byte[] Alter(Random random, ReadOnlySpan<byte> seed)
    {
        List<byte> bytes = [.. seed];
        for (int changes = random.Next(4); changes > 0; changes--)
        {
            int at = random.Next(bytes.Count + 1);
            switch (random.Next(5))
            {
                case 0 when at < bytes.Count: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes.Insert(at, (byte)random.Next(256)); break;
                case 2 when at < bytes.Count: bytes.RemoveAt(at); break;
                case 3: bytes.RemoveRange(at, bytes.Count - at); break;
                case 4 when at < bytes.Count: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                default: bytes.AddRange(new byte[random.Next(4)]); break;
            }
        }

        return [.. bytes];
    }
}
