using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace FastShare.SideBySide.DotNet;

/// <summary>Kestrel with TLS, fetched from with <see cref="HttpClient"/> over HTTP/1.1 and HTTP/2.</summary>
internal static class KestrelPeer
{
    public static async Task ListenAsync(CancellationToken stop)
    {
        using X509Certificate2 certificate = SslPeer.CreateCertificate();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http1AndHttp2;
            listen.UseHttps(certificate);
        }));
        await using WebApplication app = builder.Build();
        byte[] block = new byte[Peers.BufferLength];
        new Random(7).NextBytes(block);
        app.Run(async context =>
        {
            long left = long.Parse(context.Request.Query["bytes"]!, CultureInfo.InvariantCulture);
            context.Response.ContentLength = left;
            for (; left > 0; left -= block.Length)
                await context.Response.BodyWriter.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, left)), context.RequestAborted);
            await context.Response.CompleteAsync();
            Peers.Served();
        });
        await app.StartAsync(stop);
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        Peers.Ready(new Uri(address).Port);
        await Task.Delay(Timeout.Infinite, stop);
    }

    public static async Task<TimeSpan> FetchAsync(int port, long bytes, Version version, CancellationToken stop)
    {
        using var handler = new SocketsHttpHandler
        {
            // A measurement on loopback trusts whoever listens there.
            SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true },
            InitialHttp2StreamWindowSize = 16 << 20,
        };
        using var client = new HttpClient(handler) { DefaultRequestVersion = version, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        var url = new Uri($"https://localhost:{port}/?bytes={bytes.ToString(CultureInfo.InvariantCulture)}");
        long start = Stopwatch.GetTimestamp();
        await using Stream body = await client.GetStreamAsync(url, stop);
        byte[] block = new byte[Peers.BufferLength];
        long received = 0;
        for (int count; (count = await body.ReadAsync(block, stop)) > 0;) received += count;
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        return received == bytes ? taken : throw new InvalidOperationException($"{received} bytes came of {bytes}");
    }
}
