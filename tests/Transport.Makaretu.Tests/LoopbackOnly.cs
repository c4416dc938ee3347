using System.Net.NetworkInformation;

namespace FastShare.Transport.Makaretu.Tests;

/// <summary>
/// The package uses the loopback interface only where nothing else is up: elsewhere these tests would multicast on the machine's network,
/// and do not run.
/// </summary>
internal static class LoopbackOnly
{
    public static void Require()
    {
        bool alone = NetworkInterface.GetAllNetworkInterfaces().All(i =>
            i.NetworkInterfaceType == NetworkInterfaceType.Loopback || i.OperationalStatus != OperationalStatus.Up);
        if (alone) return;
        const string Reason = "needs a network namespace with a loopback interface only: run it by in-namespace.sh";
        if (Environment.GetEnvironmentVariable("FASTSHARE_CI") == "1") Assert.Fail(Reason);
        Assert.Skip(Reason);
    }
}
