using System.Runtime.InteropServices;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>A file on Linux.</summary>
/// <param name="handle">The descriptor, owned.</param>
/// <param name="label">What messages call it.</param>
internal sealed unsafe class LinuxFile(LinuxHandle handle, string label) : IStorageFile
{
    /// <inheritdoc/>
    public int Read(long offset, Span<byte> destination)
    {
        int result = Read(handle, offset, destination);
        return result >= 0 ? result : throw LinuxError.From(-result, "read", label);
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        using LinuxHandle.Lease own = handle.Use();
        fixed (byte* p = source)
        {
            int done = 0;
            while (done < source.Length)
            {
                nint count = LinuxCalls.WriteAt(own.Descriptor, p + done, source.Length - done, offset + done);
                if (count > 0)
                {
                    done += (int)count;
                    continue;
                }

                int errno = count == 0 ? LinuxError.Io : Marshal.GetLastPInvokeError();
                if (errno != LinuxError.Interrupted) throw LinuxError.From(errno, "write", label);
            }
        }
    }

    /// <inheritdoc/>
    public void MakeHole(long offset, long length)
    {
        using LinuxHandle.Lease own = handle.Use();
        while (LinuxCalls.Allocate(own.Descriptor, LinuxCalls.PunchHole, offset, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == LinuxError.Interrupted) continue;
            if (errno is not (LinuxError.NotSupported or LinuxError.NotImplemented)) throw LinuxError.From(errno, "make a hole in", label);
            StorageZeros.Write(this, offset, length);
            return;
        }
    }

    /// <inheritdoc/>
    public void SetLength(long length)
    {
        using LinuxHandle.Lease own = handle.Use();
        while (LinuxCalls.Truncate(own.Descriptor, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != LinuxError.Interrupted) throw LinuxError.From(errno, "set the length of", label);
        }
    }

    /// <inheritdoc/>
    public void Reserve(long length)
    {
        using LinuxHandle.Lease own = handle.Use();
        while (LinuxCalls.Allocate(own.Descriptor, 0, 0, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is LinuxError.NotSupported or LinuxError.NotImplemented) return; // then a full disk costs a checkpoint
            if (errno != LinuxError.Interrupted) throw LinuxError.From(errno, "reserve room for", label);
        }
    }

    /// <inheritdoc/>
    public void SyncData() => Sync(handle, label, LinuxCalls.SyncData);

    /// <inheritdoc/>
    public void Sync() => Sync(handle, label, LinuxCalls.Sync);

    /// <inheritdoc/>
    public void SetAttributes(int mode, long modifiedUnixNanoseconds) => SetAttributes(handle, label, mode, modifiedUnixNanoseconds);

    /// <inheritdoc/>
    public StorageStat Stat()
    {
        using LinuxHandle.Lease own = handle.Use();
        int result = LinuxPaths.StatAt(own.Descriptor, "", out StorageStat stat);
        return result == 0 ? stat : throw LinuxError.From(-result, "look at", label);
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    /// <summary>Reads until the span is full or the file ends; returns the bytes read, or −errno.</summary>
    internal static int Read(LinuxHandle handle, long offset, Span<byte> destination)
    {
        using LinuxHandle.Lease own = handle.Use();
        fixed (byte* p = destination)
        {
            int done = 0;
            while (done < destination.Length)
            {
                nint count = LinuxCalls.ReadAt(own.Descriptor, p + done, destination.Length - done, offset + done);
                if (count == 0) return done;
                if (count > 0)
                {
                    done += (int)count;
                    continue;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno != LinuxError.Interrupted) return -errno;
            }

            return done;
        }
    }

    /// <summary>Runs one of the sync calls. An interrupted one has not failed and is repeated; a failed one never is.</summary>
    internal static void Sync(LinuxHandle handle, string label, Func<int, int> call)
    {
        using LinuxHandle.Lease own = handle.Use();
        while (call(own.Descriptor) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != LinuxError.Interrupted) throw LinuxError.From(errno, "make durable", label);
        }
    }

    /// <summary>Sets mode and modification time of an open file or folder.</summary>
    internal static void SetAttributes(LinuxHandle handle, string label, int mode, long modifiedUnixNanoseconds)
    {
        using LinuxHandle.Lease own = handle.Use();
        if (mode >= 0 && LinuxCalls.ChangeMode(own.Descriptor, (uint)(mode & 0x1FF)) != 0) ThrowUnlessUnsupported("mode");

        (long seconds, long rest) = Math.DivRem(modifiedUnixNanoseconds, 1_000_000_000);
        if (rest < 0) (seconds, rest) = (seconds - 1, rest + 1_000_000_000);
        LinuxCalls.TimeSpec* times = stackalloc LinuxCalls.TimeSpec[2];
        times[0] = times[1] = new LinuxCalls.TimeSpec { Seconds = seconds, Nanoseconds = rest };
        if (LinuxCalls.SetTimes(own.Descriptor, times) != 0) ThrowUnlessUnsupported("time");

        void ThrowUnlessUnsupported(string what)
        {
            int errno = Marshal.GetLastPInvokeError();
            // File systems without modes or settable times (FAT, some network ones) refuse even the owner, who we are, with EPERM: the
            // content is what counts, so that is no failure.
            if (errno is not (LinuxError.NotPermitted or LinuxError.NotSupported or LinuxError.NotImplemented))
            {
                throw LinuxError.From(errno, $"set the {what} of", label);
            }
        }
    }
}
