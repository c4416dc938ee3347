using FastShare.Transport;

namespace FastShare.Interop;

/// <summary>The js peer that the tests of a class share, started with the first: a process takes longer to start than most tests run.</summary>
public sealed class JsPeers : IAsyncLifetime
{
    private JsPeer? _peer; // the tests of a class run one after another

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_peer is not null) await _peer.DisposeAsync();
    }

    /// <summary>The peer, secured as every test of the class wants it; skips the calling test where there can be none.</summary>
    internal async Task<JsPeer> GetAsync(SecurityMode security) =>
        _peer ??= await JsPeer.StartAsync(new { security = security == SecurityMode.Noise ? "noise" : "plaintext" });
}
