using System.Runtime.InteropServices;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// A file descriptor that is closed once, and not while a call uses it: so a number the system gave to another file is never written
/// to by mistake. Calls go through <see cref="Use"/>.
/// </summary>
internal sealed class LinuxHandle : SafeHandle
{
    /// <summary>Takes over a descriptor.</summary>
    public LinuxHandle(int descriptor)
        : base(-1, ownsHandle: true) => SetHandle(descriptor);

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Holds the descriptor open until the lease ends.</summary>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public Lease Use()
    {
        bool added = false;
        DangerousAddRef(ref added);
        return new Lease(this);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => LinuxCalls.Close((int)handle) == 0;

    /// <summary>A borrowed descriptor.</summary>
    public readonly ref struct Lease(LinuxHandle owner)
    {
        /// <summary>The number, valid until disposal.</summary>
        public int Descriptor => (int)owner.handle;

        /// <summary>Gives it back.</summary>
        public void Dispose() => owner.DangerousRelease();
    }
}
