using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Identity;

public sealed class PeerTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("holiday pictures (1).jpg", "holiday pictures (1).jpg")]
    [InlineData("Grüße 日本語 עברית 🎉", "Grüße 日本語 עברית 🎉")]
    [InlineData("\u001b[31mred\u001b[0m", "\\u{1B}[31mred\\u{1B}[0m")]
    [InlineData("\u001b]0;title\u0007", "\\u{1B}]0;title\\u{7}")]
    [InlineData("\u009b2J", "\\u{9B}2J")]
    [InlineData("a\r\nb\tc\0", "a\\u{D}\\u{A}b\\u{9}c\\u{0}")]
    [InlineData("\u007f", "\\u{7F}")]
    [InlineData("photo\u202egpj.exe", "photo\\u{202E}gpj.exe")]
    [InlineData("\u2066a\u2069", "\\u{2066}a\\u{2069}")]
    [InlineData("a\u200bb\ufeff", "a\\u{200B}b\\u{FEFF}")]
    [InlineData("a\u2028b\u2029", "a\\u{2028}b\\u{2029}")]
    [InlineData("\ue000", "\\u{E000}")]
    [InlineData("\udb40\udc41", "\\u{E0041}")] // an invisible tag character
    public void Only_what_could_mislead_is_escaped(string text, string escaped) => Assert.Equal(escaped, PeerText.Escape(text));

    [Fact]
    public void Lone_surrogates_are_escaped() // not InlineData: attributes hold UTF-8, which has no lone surrogates
    {
        Assert.Equal("\\u{D800}", PeerText.Escape("\ud800"));
        Assert.Equal("\\u{DC00}x", PeerText.Escape("\udc00x"));
        Assert.Equal("\\u{D800}🎉", PeerText.Escape("\ud800\ud83c\udf89"));
    }

    [Fact]
    public void A_long_name_keeps_its_beginning_and_its_end()
    {
        string escaped = PeerText.Escape(new string('a', 500) + "b".PadLeft(500, 'x') + ".exe", 21);
        Assert.Equal("aaaaaaaaaa…xxxxxb.exe", escaped);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(10)]
    [InlineData(11)]
    public void Shortening_never_splits_a_character(int length)
    {
        string escaped = PeerText.Escape(string.Concat(Enumerable.Repeat("🎉", 100)), length);
        Assert.InRange(escaped.Length, 1, length);
        Assert.Equal(escaped, PeerText.Escape(escaped));
        Assert.DoesNotContain("\\u", escaped, StringComparison.Ordinal);
    }

    [Fact]
    public void A_length_below_one_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => PeerText.Escape("a", 0));

    [Fact]
    public void Any_text_becomes_printable()
    {
        var random = new Random(41);
        char[] text = new char[40];
        for (int i = 0; i < 50_000; i++)
        {
            for (int c = 0; c < text.Length; c++) text[c] = random.Next(3) == 0 ? (char)random.Next(0x10000) : (char)random.Next(0x300);
            string escaped = PeerText.Escape(new string(text), 60);
            Assert.InRange(escaped.Length, 1, 60);
            Assert.Equal(escaped, PeerText.Escape(escaped, 60));
        }
    }
}
