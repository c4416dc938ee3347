using FastShare.DiscoveryPerf;

switch (args)
{
    case ["found", ..]:
        await TimeToFound.MeasureAsync(rounds: args.Length > 1 ? int.Parse(args[1]) : 10);
        return 0;
    case ["crowd"]:
        Crowd.Measure();
        return 0;
    case ["interfaces"]:
        return await ComingAndGoing.MeasureAsync();
    case ["announce" or "watch"]:
        await ComingAndGoing.RunNodeAsync(args[0]);
        return 0;
    default:
        Console.Error.WriteLine("usage: found [ROUNDS] | crowd | interfaces");
        return 2;
}
