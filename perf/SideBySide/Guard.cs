using System.Diagnostics;
using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>
/// A shell that outlives this program if this program is killed, and then ends what it had started and deletes its folders: its standard
/// input ends with this program, however that ends. Thread-safe.
/// </summary>
internal sealed class Guard : IDisposable
{
    // "+7" was started, "-7" has ended. A child leads a session of its own where there is setsid, so its group is all that it started.
    // dash takes no "--" behind the signal's name.
    private const string Script =
        """
        alive=' '
        while read -r line; do
          id=${line#?}
          case $line in
            +*) alive="$alive$id " ;;
            -*) alive="${alive%% $id *} ${alive#* $id }" ;;
          esac
        done
        for id in $alive; do kill -KILL "-$id" 2>/dev/null || kill -KILL "$id" 2>/dev/null; done
        sleep 0.2
        rm -rf -- "$@"
        """;

    private readonly Process? _shell; // its standard input is guarded by itself

    /// <param name="folders">What is deleted at the end.</param>
    public Guard(params string[] folders)
    {
        if (OperatingSystem.IsWindows()) return;
        string[] command = ["sh", "-c", Script, "guard", .. folders];
        if (ChildProcess.Find("setsid") is { } setsid) command = [setsid, .. command]; // Ctrl+C is not for it
        _shell = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, UseShellExecute = false });
    }

    /// <summary>A child was started.</summary>
    public void Started(int id) => Tell('+', id);

    /// <summary>A child has ended, and with it what it had started.</summary>
    public void Ended(int id) => Tell('-', id);

    public void Dispose()
    {
        if (_shell is null) return;
        _shell.StandardInput.Close();
        _shell.WaitForExit();
        _shell.Dispose();
    }

    private void Tell(char what, int id)
    {
        if (_shell is null) return;
        lock (_shell)
        {
            _shell.StandardInput.Write(string.Create(CultureInfo.InvariantCulture, $"{what}{id}\n"));
            _shell.StandardInput.Flush();
        }
    }
}
