using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace FastShare.SideBySide.Rows;

/// <summary>nginx on loopback, serving one folder over HTTP and HTTPS (TLS 1.3, AES-256-GCM, a fresh self-signed certificate).</summary>
internal static class Nginx
{
    public static async Task<ChildProcess?> StartAsync(string work, string served, int httpPort, int httpsPort, CancellationToken cancellationToken)
    {
        if (ChildProcess.Find("nginx") is not { } nginx) return null;
        string[] arguments = await ConfigureAsync(work, served, "127.0.0.1", httpPort, httpsPort, cancellationToken);
        ChildProcess server = ChildProcess.Start(nginx, arguments);
        await Ports.WaitUntilOpenAsync(httpsPort, cancellationToken);
        return server;
    }

    /// <summary>Writes its configuration; returns its arguments.</summary>
    public static async Task<string[]> ConfigureAsync(
        string work, string served, string address, int httpPort, int httpsPort, CancellationToken cancellationToken)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await File.WriteAllTextAsync(Path.Combine(work, "cert.pem"), certificate.ExportCertificatePem(), cancellationToken);
        await File.WriteAllTextAsync(Path.Combine(work, "key.pem"), key.ExportPkcs8PrivateKeyPem(), cancellationToken);
        string configuration = Path.Combine(work, "nginx.conf");
        await File.WriteAllTextAsync(configuration, $$"""
            daemon off;
            worker_processes 1;
            pid {{work}}/nginx.pid;
            error_log {{work}}/nginx.log;
            {{(Environment.IsPrivilegedProcess ? "user root;" : "")}}
            events { }
            http {
              access_log off;
              sendfile on;
              client_body_temp_path {{work}}/t1; proxy_temp_path {{work}}/t2; fastcgi_temp_path {{work}}/t3;
              uwsgi_temp_path {{work}}/t4; scgi_temp_path {{work}}/t5;
              server {
                listen {{address}}:{{httpPort}};
                listen {{address}}:{{httpsPort}} ssl;
                ssl_certificate {{work}}/cert.pem;
                ssl_certificate_key {{work}}/key.pem;
                ssl_protocols TLSv1.3;
                root {{served}};
              }
            }
            """, cancellationToken);
        return ["-c", configuration, "-e", Path.Combine(work, "nginx.log")];
    }
}
