namespace FastShare.SideBySide;

/// <summary>One way to move the bytes, run again and again in turn with the others.</summary>
/// <param name="Name">Row title.</param>
/// <param name="Scenario">Rows of one scenario are compared with each other.</param>
/// <param name="RunAsync">Moves the bytes once and returns the seconds it took.</param>
internal sealed record Contender(string Name, string Scenario, Func<CancellationToken, Task<double>> RunAsync);

/// <summary>Memory to memory, or file to file: what the rows of a table have in common.</summary>
internal static class Scenarios
{
    public const string Memory = "memory to memory";
    public const string File = "file to file";
}
