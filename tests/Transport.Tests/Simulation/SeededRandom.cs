namespace FastShare.Transport.Tests.Simulation;

/// <summary>SplitMix64: the same numbers from the same seed on every runtime, so that a seed found anywhere replays everywhere.</summary>
internal sealed class SeededRandom(ulong seed)
{
    private ulong _state = seed * 0x9E3779B97F4A7C15UL + 0xD1B54A32D192ED03UL;

    /// <summary>A number from 0 to <paramref name="limit"/> - 1.</summary>
    public int Below(int limit) => (int)(Draw() % (ulong)limit);

    /// <summary>A number of a range, both ends included.</summary>
    public int Between(int low, int high) => low + Below(high - low + 1);

    /// <summary>True in so many of a hundred cases.</summary>
    public bool Percent(int chance) => Below(100) < chance;

    /// <summary>A time of a range, in microseconds' steps.</summary>
    public TimeSpan Between(TimeSpan low, TimeSpan high) =>
        low + TimeSpan.FromMicroseconds((long)(Draw() % (ulong)((high - low).TotalMicroseconds + 1)));

    /// <summary>A time of a range, in milliseconds.</summary>
    public TimeSpan Milliseconds(int low, int high) => Between(TimeSpan.FromMilliseconds(low), TimeSpan.FromMilliseconds(high));

    /// <summary>From 0 (inclusive) to 1 (exclusive), as full jitter takes it.</summary>
    public double Fraction() => (Draw() >> 11) * (1.0 / (1UL << 53));

    /// <summary>One of several.</summary>
    public T Pick<T>(IReadOnlyList<T> choices) => choices[Below(choices.Count)];

    private ulong Draw()
    {
        ulong z = _state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
