using System.Globalization;
using System.Runtime.InteropServices;
using FastShare.SideBySide;
using FastShare.SideBySide.DotNet;
using FastShare.SideBySide.Reporting;
using FastShare.SideBySide.Rows;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
// Its servers and folders must not stay behind either way.
using PosixSignalRegistration ended = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
{
    signal.Cancel = true;
    stop.Cancel();
});

if (await Peers.TryRunAsync(args, stop.Token)) return 0;
Settings settings;
try
{
    if (args is ["--compare", var before, var after, "--history", var history]) return History.Compare(history, before, after);
    settings = Settings.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    Console.Error.WriteLine(Settings.Usage);
    return 2;
}

string work = Path.Combine(settings.Folder, $"fastshare-side-by-side-{Environment.ProcessId}");
Directory.CreateDirectory(work);
try
{
    await using var bench = new Bench(settings, work);
    await bench.WriteSourcesAsync(stop.Token);
    await PlainRows.AddAsync(bench, stop.Token);
    await FastShareRows.AddAsync(bench, stop.Token);
    await DotNetRows.AddAsync(bench, stop.Token);
    await HttpRows.AddAsync(bench, stop.Token);
    await RsyncRows.AddAsync(bench, stop.Token);
    await SshRows.AddAsync(bench, stop.Token);
    await JsRows.AddAsync(bench, stop.Token);
    await LimitRows.AddAsync(bench, stop.Token);
    await LoadRows.AddAsync(bench, stop.Token);
    ColdStartRows.Add(bench);
    WanRows.Add(bench);

    Dictionary<Contender, List<Sample>> samples = bench.Rows.Where(settings.Wants).ToDictionary(row => row, _ => new List<Sample>());
    for (int round = 0; round <= settings.Rounds; round++)
    {
        // In turn, so that a machine whose speed drifts treats all alike; the first round warms up.
        foreach ((Contender row, List<Sample> taken) in samples)
        {
            if (row.MostRounds < int.MaxValue && (round == 0 || round > row.MostRounds)) continue;
            Sample sample = await Meter.MeasureAsync(row, stop.Token);
            if (round > 0) taken.Add(sample);
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"round {round} {row.Scenario.Name}, {row.Name}: {sample.Seconds:0.00} s, {sample.CpuSeconds:0.00} CPU-s"));
        }
    }

    Dictionary<Contender, double> calls = await SystemCalls.CountAsync(bench, samples.Keys, stop.Token);
    var results = Results.Of(settings, samples, calls, bench.Missing);
    Table.Print(results);
    if (settings.Json is not null) results.Write(settings.Json);
    if (settings.Report is not null) await File.WriteAllTextAsync(settings.Report, HtmlReport.Create(results));
    if (settings.History is not null) History.Add(settings.History, results);
    return 0;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 130;
}
finally
{
    if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
}
