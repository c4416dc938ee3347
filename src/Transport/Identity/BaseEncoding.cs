using System.Numerics;

namespace FastShare.Transport.Identity;

/// <summary>Base58btc and RFC 4648 base32 (lower case, no padding), and base36, for peer ids.</summary>
internal static class BaseEncoding
{
    private const string Base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    private const string Base36Alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
    private const string Base32Alphabet = "abcdefghijklmnopqrstuvwxyz234567";

    // Peer ids are at most 44 bytes; conversion is quadratic, so longer text is refused first.
    private const int MaxPositionalLength = 256;

    public static string EncodeBase58(ReadOnlySpan<byte> bytes) => EncodePositional(bytes, Base58Alphabet);

    public static bool TryDecodeBase58(ReadOnlySpan<char> text, out byte[] bytes) => TryDecodePositional(text, Base58Alphabet, out bytes);

    public static bool TryDecodeBase36(ReadOnlySpan<char> text, out byte[] bytes) => TryDecodePositional(text, Base36Alphabet, out bytes);

    public static string EncodeBase32(ReadOnlySpan<byte> bytes)
    {
        char[] text = new char[((bytes.Length * 8) + 4) / 5];
        int buffer = 0, bits = 0, at = 0;
        foreach (byte b in bytes)
        {
            buffer = (buffer << 8) | b;
            bits += 8;
            while (bits >= 5)
            {
                bits -= 5;
                text[at++] = Base32Alphabet[(buffer >> bits) & 31];
            }

            buffer &= (1 << bits) - 1;
        }

        if (bits > 0) text[at++] = Base32Alphabet[(buffer << (5 - bits)) & 31];
        return new string(text, 0, at);
    }

    public static bool TryDecodeBase32(ReadOnlySpan<char> text, out byte[] bytes)
    {
        bytes = [];
        byte[] result = new byte[text.Length * 5 / 8];
        int buffer = 0, bits = 0, at = 0;
        foreach (char c in text)
        {
            int digit = Base32Alphabet.IndexOf(c, StringComparison.Ordinal);
            if (digit < 0) return false;
            buffer = (buffer << 5) | digit;
            bits += 5;
            if (bits >= 8)
            {
                bits -= 8;
                result[at++] = (byte)(buffer >> bits);
                buffer &= (1 << bits) - 1;
            }
        }

        if (bits >= 5 || buffer != 0) return false; // left-over characters or non-zero padding bits
        bytes = result;
        return true;
    }

    private static string EncodePositional(ReadOnlySpan<byte> bytes, string alphabet)
    {
        int zeros = 0;
        while (zeros < bytes.Length && bytes[zeros] == 0) zeros++;
        var value = new BigInteger(bytes, isUnsigned: true, isBigEndian: true);
        Span<char> reversed = new char[(bytes.Length * 2) + 1];
        int count = 0;
        while (value > 0)
        {
            value = BigInteger.DivRem(value, alphabet.Length, out BigInteger digit);
            reversed[count++] = alphabet[(int)digit];
        }

        for (int i = 0; i < zeros; i++) reversed[count++] = alphabet[0];
        reversed[..count].Reverse();
        return new string(reversed[..count]);
    }

    private static bool TryDecodePositional(ReadOnlySpan<char> text, string alphabet, out byte[] bytes)
    {
        bytes = [];
        if (text.Length > MaxPositionalLength) return false;
        BigInteger value = BigInteger.Zero;
        foreach (char c in text)
        {
            int digit = alphabet.IndexOf(c, StringComparison.Ordinal);
            if (digit < 0) return false;
            value = (value * alphabet.Length) + digit;
        }

        int zeros = 0;
        while (zeros < text.Length && text[zeros] == alphabet[0]) zeros++;
        byte[] digits = value.IsZero ? [] : value.ToByteArray(isUnsigned: true, isBigEndian: true);
        bytes = new byte[zeros + digits.Length];
        digits.CopyTo(bytes, zeros);
        return true;
    }
}
