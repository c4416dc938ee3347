using System.Runtime.InteropServices;
using System.Text;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// Opening and looking at paths beneath a folder that is held open, following no link at any segment, whatever anybody swaps
/// meanwhile. Shared by the sending and the receiving side.
/// </summary>
internal static unsafe class LinuxPaths
{
    private const ulong Beneath = LinuxCalls.ResolveBeneath | LinuxCalls.ResolveNoSymlinks | LinuxCalls.ResolveNoMagicLinks;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private static readonly uint OwnUserId = LinuxCalls.IsSupported ? LinuxCalls.EffectiveUserId() : 0;

    // Set once the kernel (before 5.6) or a sandbox said that it has no openat2. Racing writers write the same.
    private static volatile bool _noOpenAt2;

    /// <summary>For tests: takes the way of kernels without openat2.</summary>
    internal static bool PretendNoOpenAt2
    {
        get => _noOpenAt2;
        set => _noOpenAt2 = value;
    }

    /// <summary>Opens a path beneath <paramref name="folder"/>; returns the descriptor, or −errno.</summary>
    public static int Open(int folder, string path, int flags, int mode = 0)
    {
        if (path.Length == 0) path = ".";
        flags |= LinuxCalls.CloseOnExec;
        int tries = 0;
        while (!_noOpenAt2)
        {
            // without O_NOFOLLOW, which would report a link at the end as something other than ELOOP
            var how = new LinuxCalls.OpenHow { Flags = (uint)flags, Mode = (uint)mode, Resolve = Beneath };
            int result = LinuxCalls.OpenAt2(folder, path, &how);
            if (result >= 0) return result;
            int errno = Marshal.GetLastPInvokeError();
            if (errno == LinuxError.Interrupted) continue;
            // the kernel saw a rename somewhere while it resolved, and cannot tell whether the path stayed beneath: try again
            if (errno == LinuxError.Again && ++tries < 1000) continue;
            if (errno is not (LinuxError.NotImplemented or LinuxError.NotPermitted)) return -errno;
            // seccomp filters that do not know the call say EPERM: see what the fallback says
            if (errno == LinuxError.NotPermitted) break;
            _noOpenAt2 = true;
        }

        return OpenBySegments(folder, path, flags | LinuxCalls.NoFollow, mode);
    }

    /// <summary>
    /// Opens a path as the system resolves it, beneath or not; returns the descriptor, or −errno. A path of one name makes no garbage.
    /// </summary>
    public static int OpenAt(int folder, ReadOnlySpan<char> path, int flags)
    {
        int longest = Encoding.UTF8.GetMaxByteCount(path.Length) + 1;
        Span<byte> name = longest <= 1024 ? stackalloc byte[1024] : new byte[longest];
        name[Encoding.UTF8.GetBytes(path, name)] = 0;
        fixed (byte* p = name)
        {
            while (true)
            {
                int result = LinuxCalls.OpenAt(folder, p, flags, 0);
                if (result >= 0) return result;
                int errno = Marshal.GetLastPInvokeError();
                if (errno != LinuxError.Interrupted) return -errno;
            }
        }
    }

    /// <summary>Looks at a path beneath; the last segment is not followed either. 0, or −errno.</summary>
    public static int Stat(int folder, string path, out StorageStat stat)
    {
        stat = default;
        if (!path.Contains('/', StringComparison.Ordinal)) return StatAt(folder, path, out stat);
        int slash = path.LastIndexOf('/');
        int parent = Open(folder, path[..slash], LinuxCalls.PathOnly | LinuxCalls.Directory);
        if (parent < 0) return parent;
        int result = StatAt(parent, path[(slash + 1)..], out stat);
        LinuxCalls.Close(parent);
        return result;
    }

    /// <summary>Looks at a single name in a folder, or with the empty name at the descriptor itself. 0, or −errno.</summary>
    public static int StatAt(int folder, string name, out StorageStat stat)
    {
        LinuxCalls.StatX raw;
        int flags = LinuxCalls.AtSymlinkNoFollow | (name.Length == 0 ? LinuxCalls.AtEmptyPath : 0);
        if (LinuxCalls.Stat(folder, name, flags, LinuxCalls.StatBasic, &raw) != 0)
        {
            stat = default;
            return -Marshal.GetLastPInvokeError();
        }

        StorageKind kind = (raw.Mode & 0xF000) switch
        {
            0x8000 => StorageKind.File,
            0x4000 => StorageKind.Folder,
            0xA000 => StorageKind.Symlink,
            _ => StorageKind.Special,
        };
        stat = new StorageStat(
            kind, (long)raw.Size, (long)raw.Blocks * 512, raw.Mode & 0xFFF, Nanoseconds(raw.Modified), Nanoseconds(raw.Changed), raw.Inode,
            (ulong)raw.DeviceMajor << 32 | raw.DeviceMinor, raw.Links, raw.UserId == OwnUserId);
        return 0;
    }

    /// <summary>What the link of that name points to; null if it is no link or its target no UTF-8.</summary>
    public static string? ReadLink(int folder, string name)
    {
        byte[] buffer = new byte[4097];
        nint length;
        fixed (byte* p = buffer) length = LinuxCalls.ReadLinkAt(folder, name, p, buffer.Length);
        if (length < 0 || length == buffer.Length) return null;
        try
        {
            return StrictUtf8.GetString(buffer.AsSpan(0, (int)length));
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>All names in an open folder but <c>.</c> and <c>..</c>; 0, or −errno.</summary>
    /// <param name="folder">The folder; its position moves to the end.</param>
    /// <param name="names">Where the names go.</param>
    /// <param name="unreadable">Where names go that are no UTF-8, with the offending bytes replaced.</param>
    public static int List(int folder, List<string> names, List<string>? unreadable = null)
    {
        byte[] buffer = new byte[64 * 1024];
        fixed (byte* p = buffer)
        {
            while (true)
            {
                nint length = LinuxCalls.ReadFolder(folder, p, buffer.Length);
                if (length == 0) return 0;
                if (length < 0) return -Marshal.GetLastPInvokeError();
                // struct linux_dirent64: inode (8), offset (8), record length (2), type (1), name with NUL
                for (int at = 0; at < length; at += BitConverter.ToUInt16(buffer, at + 16))
                {
                    ReadOnlySpan<byte> name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(p + at + 19);
                    if (name.SequenceEqual("."u8) || name.SequenceEqual(".."u8)) continue;
                    if (System.Text.Unicode.Utf8.IsValid(name)) names.Add(Encoding.UTF8.GetString(name));
                    else unreadable?.Add(Encoding.UTF8.GetString(name));
                }
            }
        }
    }

    /// <summary>Without openat2: segment by segment, each opened without following.</summary>
    private static int OpenBySegments(int folder, string path, int flags, int mode)
    {
        int between = LinuxCalls.PathOnly | LinuxCalls.Directory | LinuxCalls.NoFollow | LinuxCalls.CloseOnExec;
        int current = folder;
        try
        {
            while (true)
            {
                int slash = path.IndexOf('/', StringComparison.Ordinal);
                string segment = slash < 0 ? path : path[..slash];
                if (segment is "" or "..") return -LinuxError.CrossDevice;
                int next = slash < 0
                    ? OpenAt(current, segment, flags, mode)
                    : OpenAt(current, segment, between, 0);
                if (next < 0 || slash < 0) return next;
                if (current != folder) LinuxCalls.Close(current);
                current = next;
                path = path[(slash + 1)..];
            }
        }
        finally
        {
            if (current != folder) LinuxCalls.Close(current);
        }
    }

    private static int OpenAt(int folder, string segment, int flags, int mode)
    {
        while (true)
        {
            int result = LinuxCalls.OpenAt(folder, segment, flags, mode);
            if (result >= 0) return result;
            int errno = Marshal.GetLastPInvokeError();
            if (errno == LinuxError.Interrupted) continue;
            // O_DIRECTORY | O_NOFOLLOW on a link says ENOTDIR: tell it from a file, as openat2 does
            if (errno == LinuxError.NotFolder && StatAt(folder, segment, out StorageStat stat) == 0 && stat.Kind == StorageKind.Symlink)
            {
                errno = LinuxError.Loop;
            }

            return -errno;
        }
    }

    private static long Nanoseconds(LinuxCalls.StatTime time)
    {
        // the kernel's seconds reach beyond what 64 bits of nanoseconds hold (the year 2262): clamp
        Int128 all = (Int128)time.Seconds * 1_000_000_000 + time.Nanoseconds;
        return all > long.MaxValue ? long.MaxValue : all < long.MinValue ? long.MinValue : (long)all;
    }
}
