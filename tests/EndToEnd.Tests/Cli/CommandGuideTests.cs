using System.Reflection;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Testing;
using FastShare.Transfer;

namespace FastShare.EndToEnd.Tests.Cli;

/// <summary>docs/command.md tells of what the command really prints.</summary>
public sealed class CommandGuideTests
{
    private static readonly string _guide = File.ReadAllText(Repository.PathOf("docs", "command.md"));

    public static TheoryData<string> Kinds => [.. Events().Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_event_is_there_with_every_field(string kind)
    {
        string row = Assert.Single(_guide.Split('\n'), line => line.StartsWith("| `", StringComparison.Ordinal) && Names(line.Split('|')[1]).Contains(kind));
        string[] fields = Names(row.Split('|', 4)[3]);
        foreach (JsonPropertyInfo field in CliEventContext.Default.GetTypeInfo(Events()[kind])!.Properties)
        {
            if (field.Name is not ("event" or "time")) Assert.Contains(field.Name, fields);
        }
    }

    [Fact]
    public void Every_kind_of_error_is_there()
    {
        string kinds = _guide[_guide.IndexOf("`kind` is one of these", StringComparison.Ordinal).._guide.IndexOf("## Exit codes", StringComparison.Ordinal)];
        Assert.All(Enum.GetValues<TransferError>(), error => Assert.Contains($"`{ExitCodes.KindOf(error)}`", kinds, StringComparison.Ordinal));
    }

    private static Dictionary<string, Type> Events() => typeof(CliEvent).Assembly.GetTypes()
        .Where(type => type.BaseType == typeof(CliEvent))
        .ToDictionary(type =>
        {
            ConstructorInfo constructor = type.GetConstructors().Single();
            object?[] nothing = [.. constructor.GetParameters().Select(p => p.ParameterType.IsValueType ? Activator.CreateInstance(p.ParameterType) : null)];
            return ((CliEvent)constructor.Invoke(nothing)).Event;
        });

    private static string[] Names(string text) => [.. Regex.Matches(text, "`([A-Za-z0-9]+)`").Select(match => match.Groups[1].Value)];
}
