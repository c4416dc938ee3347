namespace FastShare.Testing;

/// <summary>For states that no signal tells of.</summary>
public static class Eventually
{
    /// <summary>Waits until <paramref name="condition"/> holds; fails after 30 s, which only a broken test or program needs.</summary>
    public static async Task BecomesTrueAsync(Func<bool> condition, string what)
    {
        for (int i = 0; !condition(); i++)
        {
            if (i == 30_000) throw new TimeoutException($"never came true: {what}");
            await Task.Delay(1);
        }
    }
}
