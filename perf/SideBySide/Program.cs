using System.Globalization;
using FastShare.SideBySide;

Settings settings;
try
{
    settings = Settings.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    Console.Error.WriteLine(Settings.Usage);
    return 2;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

string work = Path.Combine(settings.Folder, $"fastshare-side-by-side-{Environment.ProcessId}");
Directory.CreateDirectory(work);
try
{
    await using var contenders = new Contenders(settings, work);
    await contenders.SetUpAsync(stop.Token);
    List<Contender> rows = [.. contenders.All.Where(row => settings.Only is null || row.Name.Contains(settings.Only, StringComparison.OrdinalIgnoreCase))];
    Dictionary<Contender, List<double>> seconds = rows.ToDictionary(row => row, _ => new List<double>());
    for (int round = 0; round <= settings.Rounds; round++)
    {
        // In turn, so that a machine whose speed drifts treats all alike; the first round warms up.
        foreach (Contender row in rows)
        {
            double taken = await row.RunAsync(stop.Token);
            if (round > 0) seconds[row].Add(taken);
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round} {row.Scenario}, {row.Name}: {taken:0.00} s"));
        }
    }

    Table.Print(settings, seconds);
    foreach (string missing in contenders.Missing) Console.WriteLine($"missing: {missing}");
    return 0;
}
finally
{
    Directory.Delete(work, recursive: true);
}
