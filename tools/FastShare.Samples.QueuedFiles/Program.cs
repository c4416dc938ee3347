using FastShare.Samples.QueuedFiles;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

// queued-files                                   shows the whole story on this machine; exits with 0 only if all of it was true
// queued-files receive FOLDER [INTERFACE]        receives files from anybody on the network, until it is interrupted
// queued-files send FILE… [--interface NAME]     sends files to the first peer that mDNS finds, all at once
switch (args)
{
    case []:
        using (var demonstration = new Demonstration()) return await demonstration.RunAsync() ? 0 : 1;
    case ["receive", var folder, .. { Length: <= 1 } rest]:
        return await ReceiveAsync(folder, rest.FirstOrDefault());
    case ["send", .. var files, "--interface", var name] when files.Length > 0:
        return await SendAsync(files, name);
    case ["send", .. var files] when files.Length > 0:
        return await SendAsync(files, null);
    default:
        Console.Error.WriteLine("usage: queued-files | queued-files receive FOLDER [INTERFACE] | queued-files send FILE… [--interface NAME]");
        return 2;
}

static async Task<int> ReceiveAsync(string folder, string? interfaceName)
{
    Directory.CreateDirectory(folder);
    using var identity = PeerIdentity.Generate();
    await using Node node = await Node.StartAsync(identity, Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"), interfaceName, async (context, file, token) =>
    {
        // A peer's name is never a path. FastShare's own transfers do all that this sample leaves out.
        string path = Path.Combine(folder, Sending.Digest(file.Content) + ".bin");
        await File.WriteAllBytesAsync(path, file.Content, token);
        Console.WriteLine($"{PeerText.Escape(file.Name)} from {context.Peer}: {path}");
        return new FileReceipt((ulong)file.Content.Length, Sending.Digest(file.Content));
    });
    Console.WriteLine($"receiving as {identity.PeerId}; stop with Ctrl+C");
    var interrupted = new TaskCompletionSource();
    Console.CancelKeyPress += (_, pressed) =>
    {
        pressed.Cancel = true;
        interrupted.TrySetResult();
    };
    await interrupted.Task;
    return 0;
}

static async Task<int> SendAsync(string[] paths, string? interfaceName)
{
    var files = new List<FileRequest>();
    foreach (string path in paths)
    {
        byte[] content = await File.ReadAllBytesAsync(path);
        if (content.Length > FileProtocol.MaxFile)
        {
            Console.Error.WriteLine($"{path} is larger than {FileProtocol.MaxFile} bytes: this sample sends a file as one request");
            return 2;
        }

        files.Add(new FileRequest(Path.GetFileName(path), content));
    }

    using var identity = PeerIdentity.Generate();
    await using Node node = await Node.StartAsync(identity, Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"), interfaceName, receive: null);
    Console.WriteLine($"looking for a receiver as {identity.PeerId}");
    PeerId peer = await node.Found.ReadAsync();
    RequestException?[] failures = await Sending.SendAllAsync(node, peer, files);
    Console.WriteLine($"{failures.Count(f => f is null)} of {files.Count} arrived at {peer} over {node.Swarm.DialCount(peer)} dial");
    return failures.All(f => f is null) ? 0 : 1;
}
