namespace FastShare.EndToEnd.Tests.Processes;

/// <summary>A folder for one test, removed with all that is in it.</summary>
internal sealed class TestFolder : IDisposable
{
    public TestFolder()
    {
        Path = Directory.CreateTempSubdirectory("fastshare-test-").FullName;
        Directory.CreateDirectory(Temporary);
    }

    public string Path { get; }

    /// <summary>Stands in for the user's configuration folder.</summary>
    public string Configuration => this["config"];

    /// <summary>Stands in for the system's temporary folder.</summary>
    public string Temporary => this["tmp"];

    /// <summary>A path in the folder.</summary>
    public string this[string relative] => System.IO.Path.Combine(Path, relative);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
