using System.ComponentModel;
using System.Runtime.InteropServices;

namespace FastShare.SideBySide.DotNet;

/// <summary>The system calls of <see cref="SmallLimitPeer"/>, by the C library, on Linux.</summary>
internal static unsafe partial class SmallCalls
{
    private const int CurrentFolder = -100, ReadWrite = 2, Create = 0x40, Exclusive = 0x80, CloseOnExec = 0x80000, EmptyPath = 0x1000;

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds, Nanoseconds;
    }

    public static int OpenFolder(string path) => Checked(OpenAt(CurrentFolder, path, CloseOnExec, 0), path);

    /// <summary>Reads a file; false: it is longer than the room for it.</summary>
    public static bool ReadFile(int folder, string name, Span<byte> room, out int size, out long modifiedNanoseconds, out int mode)
    {
        int file = Checked(OpenAt(folder, name, CloseOnExec, 0), name);
        fixed (byte* p = room) size = (int)Checked(ReadAt(file, p, room.Length, 0), name);
        // struct statx: mode (u16) at 28, size (u64) at 40, time of modification at 112: seconds (i64), nanoseconds (u32)
        byte* stat = stackalloc byte[256];
        Checked(Stat(file, "", EmptyPath, 0x7FF, stat), name);
        Close(file);
        mode = *(ushort*)(stat + 28) & 0x1FF;
        modifiedNanoseconds = *(long*)(stat + 112) * 1_000_000_000 + *(uint*)(stat + 120);
        return *(long*)(stat + 40) == size;
    }

    public static void WriteFile(int folder, string name, ReadOnlySpan<byte> content, int mode, long modifiedNanoseconds)
    {
        int file = Checked(OpenAt(folder, name, ReadWrite | Create | Exclusive | CloseOnExec, mode), name);
        fixed (byte* p = content)
        {
            if (Checked(WriteAt(file, p, content.Length, 0), name) != content.Length) throw new IOException($"{name} was written in part");
        }

        TimeSpec* times = stackalloc TimeSpec[2];
        times[0] = times[1] = new TimeSpec { Seconds = modifiedNanoseconds / 1_000_000_000, Nanoseconds = modifiedNanoseconds % 1_000_000_000 };
        Checked(SetTimes(file, times), name);
        Close(file);
    }

    public static void Rename(int from, string name, int to, string newName) => Checked(RenameAt(from, name, to, newName), newName);

    public static void SyncFileSystem(int file) => Checked(SyncFs(file), "syncfs");

    public static void Sync(int file) => Checked(FSync(file), "fsync");

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int file);

    private static T Checked<T>(T result, string what)
        where T : System.Numerics.INumber<T> =>
        T.IsNegative(result) ? throw new IOException(what, new Win32Exception(Marshal.GetLastPInvokeError())) : result;

    [LibraryImport("libc", EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenAt(int folder, string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "renameat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RenameAt(int folder, string path, int newFolder, string newPath);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Stat(int folder, string path, int flags, uint mask, byte* result);

    [LibraryImport("libc", EntryPoint = "futimens", SetLastError = true)]
    private static partial int SetTimes(int file, TimeSpec* accessedAndModified);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint ReadAt(int file, byte* buffer, nint count, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint WriteAt(int file, byte* buffer, nint count, long offset);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int file);

    [LibraryImport("libc", EntryPoint = "syncfs", SetLastError = true)]
    private static partial int SyncFs(int file);
}
