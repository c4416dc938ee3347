using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace FastShare.SideBySide.DotNet;

/// <summary>A socket and an <see cref="SslStream"/>, nothing else: TLS 1.3 with what the two agree on (AES-256-GCM).</summary>
internal static class SslPeer
{
    public static async Task ListenAsync(CancellationToken stop)
    {
        using X509Certificate2 certificate = CreateCertificate();
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Peers.Ready(((IPEndPoint)listener.LocalEndpoint).Port);
        while (true)
        {
            using TcpClient client = await listener.AcceptTcpClientAsync(stop);
            client.NoDelay = true;
            await using var tls = new SslStream(client.GetStream());
            await tls.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions { ServerCertificate = certificate, EnabledSslProtocols = SslProtocols.Tls13 }, stop);
            await Upload.TakeAsync(tls, stop);
            Peers.Served();
        }
    }

    public static async Task<TimeSpan> SendAsync(int port, long bytes, CancellationToken stop)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, port, stop);
        // A measurement on loopback trusts whoever listens there.
        await using var tls = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, (_, _, _, _) => true);
        await tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", EnabledSslProtocols = SslProtocols.Tls13 }, stop);
        return await Upload.SendAsync(tls, bytes, stop);
    }

    /// <summary>A certificate for localhost, good for a day.</summary>
    public static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
