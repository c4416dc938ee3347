using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace FastShare.Testing;

/// <summary>Does file work as a user whom permissions bind, even where the tests run as root.</summary>
public static partial class Unprivileged
{
    // "nobody" by convention; any user but root and the owner of the files will do.
    private const int Nobody = 65534;

    /// <summary>
    /// Runs <paramref name="work"/> to its end on a thread of its own. Where this process is root, that thread's file accesses are
    /// another user's (setfsuid(2), which also takes root's capabilities over files from the thread); so the work must not leave it.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">This is not Linux.</exception>
    public static void Run(Action work)
    {
        if (!OperatingSystem.IsLinux()) throw new PlatformNotSupportedException("setfsuid exists on Linux only");
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                if (Environment.IsPrivilegedProcess) BecomeNobody();
                work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private static void BecomeNobody()
    {
        SetFileSystemUser(Nobody);
        // The call has no error; asking with an invalid id tells what holds now.
        if (SetFileSystemUser(-1) != Nobody) throw new InvalidOperationException("the thread's user for file accesses could not be changed");
    }

    [LibraryImport("libc", EntryPoint = "setfsuid")]
    private static partial int SetFileSystemUser(int user);
}
