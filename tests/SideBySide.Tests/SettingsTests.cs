namespace FastShare.SideBySide.Tests;

public sealed class SettingsTests
{
    [Fact]
    public void Amounts_are_in_gibibytes_and_scaled_to_whole_mebibytes()
    {
        var settings = Settings.Parse(["--memory", "1", "--file", "1", "--small", "1000", "--scale", "0.01"]);
        Assert.Equal((10L << 20, 10L << 20, 10), (settings.MemoryBytes, settings.FileBytes, settings.SmallFiles));
        Assert.Equal(4L << 30, Settings.Parse([]).MemoryBytes);
        Assert.Equal(0, Settings.Parse(["--small", "0", "--scale", "2"]).SmallFiles);
    }

    [Fact]
    public void A_row_is_wanted_by_its_name_or_its_scenario()
    {
        var settings = Settings.Parse(["--only", "SSL", "--only", "small"]);
        Assert.True(settings.Wants("SslStream"));
        Assert.True(settings.Wants("small files"));
        Assert.False(settings.Wants("cp"));
        Assert.True(Settings.Parse([]).Wants("cp"));
    }

    [Theory]
    [InlineData("--rounds")]
    [InlineData("--rounds", "0")]
    [InlineData("--rounds", "many")]
    [InlineData("--scale", "0")]
    [InlineData("--scale", "NaN")]
    [InlineData("--compare", "a", "b")]
    [InlineData("--bogus", "1")]
    public void What_makes_no_sense_is_refused(params string[] arguments) => Assert.Throws<FormatException>(() => Settings.Parse(arguments));

    [Fact]
    public void Two_commits_are_compared() =>
        Assert.Equal(("a", "b"), Settings.Parse(["--compare", "a", "b", "--history", "f"]).Compare);
}
