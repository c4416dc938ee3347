using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>
/// TCP options of Linux that the framework has no names for, set as raw options. Everywhere else, and on kernels that lack one,
/// nothing happens. Thread-safe.
/// </summary>
internal sealed class LinuxTcpTuning(Socket socket) : ISocketTuning
{
    // linux/tcp.h and netinet/in.h
    private const int TcpLevel = 6, TcpInfo = 11, TcpCongestion = 13, TcpNotSentLowWater = 25;

    /// <summary>The congestion control whose pacing near paths do without, and what they use instead, in order of preference.</summary>
    private const string Paced = "bbr", Unpaced = "cubic", Fallback = "reno";

    /// <summary>
    /// Round trips below this are of the same machine, or of a wired local network: there is no queue on the way that pacing keeps short.
    /// </summary>
    private static readonly TimeSpan Near = TimeSpan.FromMilliseconds(1);

    // TCP_CA_NAME_MAX
    private const int MaxName = 16;

    // Offsets in struct tcp_info, which only ever grows; a kernel before 4.10 fills less and is not asked further.
    private const int RttAt = 68, TotalRetransAt = 100, MinRttAt = 148, DataSegsOutAt = 156, BusyAt = 168, WindowLimitedAt = 176, BufferLimitedAt = 184;
    private const int InfoSize = 192;

    public string? CongestionControl
    {
        get
        {
            Span<byte> name = stackalloc byte[MaxName];
            int length = Get(TcpCongestion, name);
            if (length <= 0) return null;
            int end = name[..length].IndexOf((byte)0);
            return Encoding.ASCII.GetString(name[..(end < 0 ? length : end)]);
        }
    }

    public bool TrySetCongestionControl(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return name.Length < MaxName && Set(TcpCongestion, Encoding.ASCII.GetBytes(name));
    }

    /// <summary>
    /// On a near path, leaves BBR where the system makes it the default of all connections: a timer per burst of segments costs a fifth
    /// of both ends' processor time there (perf/README.md). A path that turns out to be far or lossy gets it back from what sends bulk.
    /// </summary>
    public void LeavePacingIfNear()
    {
        if (CongestionControl != Paced || Measure() is not { } path) return;
        if (path.RoundTrip <= TimeSpan.Zero || path.RoundTrip >= Near) return; // not measured yet, or far
        _ = TrySetCongestionControl(Unpaced) || TrySetCongestionControl(Fallback);
    }

    public bool TrySetNotSentLimit(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        Span<byte> value = stackalloc byte[sizeof(int)];
        MemoryMarshal.Write(value, bytes);
        return Set(TcpNotSentLowWater, value);
    }

    public SocketPath? Measure()
    {
        Span<byte> info = stackalloc byte[InfoSize];
        if (Get(TcpInfo, info) < InfoSize) return null;
        return new SocketPath(
            TimeSpan.FromMicroseconds(MemoryMarshal.Read<uint>(info[RttAt..])),
            MemoryMarshal.Read<uint>(info[MinRttAt..]) is > 0 and < uint.MaxValue and var shortest ? TimeSpan.FromMicroseconds(shortest) : null,
            Time(info[BusyAt..]),
            Time(info[BufferLimitedAt..]),
            Time(info[WindowLimitedAt..]),
            MemoryMarshal.Read<uint>(info[DataSegsOutAt..]),
            MemoryMarshal.Read<uint>(info[TotalRetransAt..]));
    }

    private static TimeSpan Time(ReadOnlySpan<byte> microseconds) =>
        TimeSpan.FromMicroseconds((long)(MemoryMarshal.Read<ulong>(microseconds) & long.MaxValue));

    // Bytes filled in; 0: not to be had.
    private int Get(int option, Span<byte> value)
    {
        if (!OperatingSystem.IsLinux()) return 0;
        try
        {
            return socket.GetRawSocketOption(TcpLevel, option, value);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    private bool Set(int option, ReadOnlySpan<byte> value)
    {
        if (!OperatingSystem.IsLinux()) return false;
        try
        {
            socket.SetRawSocketOption(TcpLevel, option, value);
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
