using System.Diagnostics;
using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>
/// Runs the rows in turn, round after round. A row that fails leaves the run with its reason, and keeps the rounds that it has: those are
/// the first ones, so that each stays beside the same round of every other row. Used by one flow.
/// </summary>
/// <param name="rows">The rows, in the order of their turns.</param>
/// <param name="rounds">Counted rounds, after one to warm up.</param>
/// <param name="patience">A run that takes longer counts as failed.</param>
/// <param name="log">Told of each run.</param>
internal sealed class Measuring(IReadOnlyList<Contender> rows, int rounds, TimeSpan patience, Action<string> log)
{
    private readonly Dictionary<Contender, List<Sample>> _samples = rows.ToDictionary(row => row, _ => new List<Sample>());
    private readonly Dictionary<string, double> _seconds = [];
    private readonly HashSet<Contender> _out = [];
    private readonly List<FailedRow> _failed = [];

    /// <summary>What each row measured, in the order of the rounds.</summary>
    public IReadOnlyDictionary<Contender, List<Sample>> Samples => _samples;

    /// <summary>What failed, in the order of events.</summary>
    public IReadOnlyList<FailedRow> Failed => _failed;

    /// <summary>How long each scenario took, by its title: all its rows, starts and clearing up included.</summary>
    public IReadOnlyDictionary<string, double> Seconds => _seconds;

    /// <exception cref="OperationCanceledException">The token; what was measured by then stays.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        for (int round = 0; round <= rounds; round++)
        {
            // In turn, so that a machine whose speed drifts treats all alike; the first round warms up.
            foreach (Contender row in rows.Where(row => !_out.Contains(row)))
            {
                if (row.MostRounds < int.MaxValue && (round == 0 || round > row.MostRounds)) continue;
                string name = round == 0 ? "warm-up" : string.Create(CultureInfo.InvariantCulture, $"round {round}");
                if (await TryAsync(row, name, token => Meter.MeasureAsync(row, token), cancellationToken) is not { } sample) continue;
                if (round > 0) _samples[row].Add(sample);
                log(string.Create(
                    CultureInfo.InvariantCulture, $"{name} {row.Scenario.Name}, {row.Name}: {sample.Seconds:0.000} s, {sample.CpuSeconds:0.00} CPU-s"));
            }
        }
    }

    /// <summary>A further pass over rows that have not failed; one that fails it is told as failed too.</summary>
    /// <exception cref="OperationCanceledException">The token.</exception>
    public async Task FurtherAsync(
        string pass, IEnumerable<Contender> which, Func<Contender, CancellationToken, Task> run, CancellationToken cancellationToken)
    {
        foreach (Contender row in which.Where(row => !_out.Contains(row)))
        {
            await TryAsync(row, pass, async token =>
            {
                await run(row, token);
                return row;
            }, cancellationToken);
        }
    }

    private async Task<T?> TryAsync<T>(Contender row, string when, Func<CancellationToken, Task<T>> run, CancellationToken cancellationToken)
        where T : class
    {
        using var impatience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        impatience.CancelAfter(patience);
        long start = Stopwatch.GetTimestamp();
        string reason;
        try
        {
            return await run(impatience.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested && impatience.IsCancellationRequested)
        {
            reason = string.Create(CultureInfo.InvariantCulture, $"it took longer than {patience.TotalSeconds:0} s");
        }
        // Whatever goes wrong with a row is this row's: the others are to be measured.
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            reason = e.Message;
        }
        finally
        {
            _seconds[row.Scenario.Name] = _seconds.GetValueOrDefault(row.Scenario.Name) + Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        cancellationToken.ThrowIfCancellationRequested();
        _out.Add(row);
        _failed.Add(new FailedRow(row.Scenario.Name, row.Name, when, reason));
        log($"FAILED {when} {row.Scenario.Name}, {row.Name}: {reason}");
        return null;
    }
}
