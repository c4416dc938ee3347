namespace FastShare.Transfer.Sessions;

/// <summary>A node's name inside the text that identify calls its program: <c>fastshare/0.1.0 (NAME)</c>.</summary>
internal static class AgentVersion
{
    private const string Program = "fastshare/";

    public static string For(string name) => $"{Program}{typeof(AgentVersion).Assembly.GetName().Version?.ToString(3) ?? "0.0.0"} ({name})";

    /// <summary>The name; null if the text is not of this form. The result is text from a peer.</summary>
    public static string? NameIn(string agentVersion)
    {
        int open = agentVersion.IndexOf('(', StringComparison.Ordinal);
        bool named = agentVersion.StartsWith(Program, StringComparison.Ordinal) && open > Program.Length && agentVersion.EndsWith(')')
            && agentVersion[open - 1] == ' ';
        string name = named ? agentVersion[(open + 1)..^1] : "";
        return name.Length > 0 && System.Text.Encoding.UTF8.GetByteCount(name) <= FastShareOptions.MaxNameLength ? name : null;
    }
}
