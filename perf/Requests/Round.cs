namespace FastShare.Requests.Perf;

/// <summary>One round: many requests at once, each answered with what it brought.</summary>
/// <param name="Seconds">From the first call to the last response.</param>
/// <param name="DialSeconds">What connecting took beforehand; 0: it is part of <paramref name="Seconds"/>.</param>
/// <param name="P50">Half of the requests were answered within this time of their call, in milliseconds.</param>
/// <param name="P99">99 of 100 were, in milliseconds.</param>
/// <param name="BytesPerRequest">Memory allocated for each request, by both nodes together.</param>
/// <param name="Contentions">Times that a thread had to wait for a lock.</param>
internal sealed record Round(double Seconds, double DialSeconds, double P50, double P99, double BytesPerRequest, long Contentions);
