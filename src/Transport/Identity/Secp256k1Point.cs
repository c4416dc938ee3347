using System.Numerics;
using System.Security.Cryptography;

namespace FastShare.Transport.Identity;

/// <summary>
/// Reads compressed points of secp256k1 (SEC 1, section 2.3.4; curve parameters: SEC 2, section 2.4.1), which the framework's key
/// import does not take. Public data only: nothing here needs constant time.
/// </summary>
internal static class Secp256k1Point
{
    private const int FieldLength = 32;

    // p = 2^256 - 2^32 - 977; p mod 4 = 3, so a square root of a is a^((p+1)/4) if there is one
    private static readonly BigInteger Prime = (BigInteger.One << 256) - (BigInteger.One << 32) - 977;
    private static readonly BigInteger RootExponent = (Prime + 1) / 4;

    /// <summary>The curve, by its object identifier.</summary>
    public static ECCurve Curve { get; } = ECCurve.CreateFromValue("1.3.132.0.10");

    /// <summary>The point that 33 bytes (02 or 03, then x) stand for; false if there is none.</summary>
    public static bool TryDecompress(ReadOnlySpan<byte> compressed, out ECPoint point)
    {
        point = default;
        if (compressed.Length != FieldLength + 1 || compressed[0] is not (2 or 3)) return false;
        var x = new BigInteger(compressed[1..], isUnsigned: true, isBigEndian: true);
        if (x >= Prime) return false;
        BigInteger square = (BigInteger.ModPow(x, 3, Prime) + 7) % Prime;
        BigInteger y = BigInteger.ModPow(square, RootExponent, Prime);
        if (BigInteger.ModPow(y, 2, Prime) != square) return false; // no point has this x
        if (y.IsEven != (compressed[0] == 2)) y = Prime - y;
        byte[] bytes = new byte[FieldLength];
        y.TryWriteBytes(bytes.AsSpan(FieldLength - y.GetByteCount(isUnsigned: true)), out _, isUnsigned: true, isBigEndian: true);
        point = new ECPoint { X = compressed[1..].ToArray(), Y = bytes };
        return true;
    }
}
