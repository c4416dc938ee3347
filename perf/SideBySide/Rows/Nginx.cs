using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace FastShare.SideBySide.Rows;

/// <summary>nginx on loopback, serving one folder over HTTP and HTTPS (TLS 1.3, AES-256-GCM, a fresh self-signed certificate).</summary>
internal static class Nginx
{
    /// <summary>nginx serving <see cref="Bench.Work"/>; null: there is none here. Its address is its two ports.</summary>
    /// <param name="bench">The run.</param>
    /// <param name="served">The folder that it serves.</param>
    /// <param name="name">A name among several, for its own files.</param>
    public static Server? Serve(Bench bench, string served, string name)
    {
        if (ChildProcess.Find("nginx") is not { } nginx) return null;
        return bench.Serve("nginx", async token =>
        {
            string work = Path.Combine(bench.Work, name);
            Directory.CreateDirectory(work);
            int http = Ports.Free(), https = Ports.Free();
            ChildProcess process = ChildProcess.Start(nginx, await ConfigureAsync(work, served, "127.0.0.1", http, https, token));
            await Ports.WaitUntilOpenAsync(https, process, token);
            return (process, $"{http} {https}");
        });
    }

    /// <summary>The large file over HTTPS.</summary>
    public static string Secure(Server server) => $"https://127.0.0.1:{server.Address.Split(' ')[1]}/source.bin";

    /// <summary>Likewise over HTTP.</summary>
    public static string Plain(Server server) => $"http://127.0.0.1:{server.Address.Split(' ')[0]}/source.bin";

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
