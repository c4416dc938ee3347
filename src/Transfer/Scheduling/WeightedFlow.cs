namespace FastShare.Transfer.Scheduling;

/// <summary>
/// One transfer's account with one arbiter: what it was given, divided by its weight. Who has the smallest account is next (weighted
/// fair queueing). Guarded by its arbiter's lock, but for the weight.
/// </summary>
/// <param name="weight">Its share; asked for anew each time, since priorities change. Thread-safe.</param>
internal sealed class WeightedFlow(Func<int> weight)
{
    /// <summary>Bytes given, each divided by the weight at its time.</summary>
    public double Spent { get; private set; }

    /// <summary>Turns that wait or are taken.</summary>
    public int Turns { get; set; }

    /// <summary>Who was away does not get what it did not ask for: its account begins where the others stand.</summary>
    public void Begin(double now)
    {
        if (Turns++ == 0) Spent = Math.Max(Spent, now);
    }

    public void Charge(int bytes) => Spent += (double)bytes / weight();
}
