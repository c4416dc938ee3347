using System.Globalization;
using System.Text;
using FastShare.Transfer.Planning.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Trust;

/// <summary>
/// The peers that a user has met, with their names and keys, kept in a file that only the user can read. A name belongs to the key
/// it was first seen with: another key under the same name is an alarm, until the user forgets the old one. Thread-safe; several
/// processes may share the file.
/// </summary>
/// <remarks>
/// The file is text, a peer a line: peer id, <c>met</c> or <c>trusted</c>, the day it was first remembered, and the name up to the
/// end of the line. Lines that begin with <c>#</c> are kept. A line that cannot be understood is an error rather than lost.
/// </remarks>
public sealed class KnownPeers
{
    /// <summary>Peers remembered; more is an error, for each was let in by a person.</summary>
    public const int MaxPeers = 10_000;

    private const int MaxFileBytes = 4 << 20;
    private const string Header = "# Peers known to FastShare, one a line: peer id, met or trusted, first day, name.";

    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(5);

    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private Contents _contents; // guarded by _gate; whole objects

    private sealed record Contents(IReadOnlyList<string> Comments, IReadOnlyList<KnownPeer> Peers);

    private KnownPeers(string path, TimeProvider time, Contents contents)
    {
        _path = path;
        _time = time;
        _contents = contents;
    }

    /// <summary>Reads the file; one that is not there is an empty one, and is made when something is to be remembered.</summary>
    /// <param name="path">The file.</param>
    /// <param name="time">The clock; default: the system's.</param>
    /// <exception cref="TransferException"><see cref="TransferError.AccessDenied"/> or <see cref="TransferError.StorageFault"/>: the file
    /// cannot be read, or a line of it cannot be understood.</exception>
    public static KnownPeers Open(string path, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string full = Path.GetFullPath(path);
        return new KnownPeers(full, time ?? TimeProvider.System, Guard(full, () => Read(full)));
    }

    /// <summary>All of them, in the order they were met.</summary>
    public IReadOnlyList<KnownPeer> All
    {
        get
        {
            lock (_gate) return _contents.Peers;
        }
    }

    /// <summary>The peer with this id; null if it is not known.</summary>
    public KnownPeer? Find(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return All.FirstOrDefault(known => known.Id == peer);
    }

    /// <summary>The peer to whom a name belongs; null if it is nobody's. Names that differ only in case or accents' encoding are the same.</summary>
    public KnownPeer? FindByName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string key = NameKey(name);
        return All.FirstOrDefault(known => NameKey(known.Name) == key);
    }

    /// <summary>
    /// Whom a peer pretends to be: the known peer that the name belongs to, where that has another key. Null: no alarm.
    /// </summary>
    public KnownPeer? Impersonated(PeerId peer, string name)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return FindByName(name) is { } owner && owner.Id != peer ? owner : null;
    }

    /// <summary>
    /// Remembers a peer, or trusts a known one more; never less, and a known one keeps its name. Durable when it returns. Blocks.
    /// </summary>
    /// <param name="peer">The authenticated peer.</param>
    /// <param name="name">What it is called; an empty name stands for the end of its peer id.</param>
    /// <param name="trust">How far it is trusted.</param>
    /// <exception cref="TransferException"><see cref="TransferError.DestinationExists"/>: the name belongs to another peer;
    /// <see cref="TransferError.StorageFull"/>: too many are known; or the file cannot be read or written.</exception>
    public void Remember(PeerId peer, string name, PeerTrust trust)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(name);
        string shown = Clean(name, peer);
        Change(contents =>
        {
            int index = contents.FindIndex(known => known.Id == peer);
            if (index >= 0)
            {
                if (contents[index].Trust >= trust) return false;
                contents[index] = contents[index] with { Trust = trust };
                return true;
            }

            if (contents.Find(known => NameKey(known.Name) == NameKey(shown)) is { } owner)
                throw new TransferException(TransferError.DestinationExists, $"the name '{PeerText.Escape(shown)}' belongs to {owner.Id}") { Peer = peer };
            if (contents.Count >= MaxPeers)
                throw new TransferException(TransferError.StorageFull, $"{MaxPeers} peers are known already; forget some first") { Peer = peer };
            contents.Add(new KnownPeer(peer, shown, trust, DateOnly.FromDateTime(_time.GetUtcNow().UtcDateTime)));
            return true;
        });
    }

    /// <summary>Forgets a peer, and frees its name. False: it was not known. Durable when it returns. Blocks.</summary>
    /// <exception cref="TransferException">The file cannot be read or written.</exception>
    public bool Forget(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return Change(contents => contents.RemoveAll(known => known.Id == peer) > 0);
    }

    // What other processes wrote meanwhile is read first, under a lock that the system frees when its holder dies.
    private bool Change(Func<List<KnownPeer>, bool> change) => Guard(_path, () =>
    {
        lock (_gate)
        {
            CreateFolder(Path.GetDirectoryName(_path)!);
            using FileStream held = TakeLock();
            Contents before = Read(_path);
            List<KnownPeer> peers = [.. before.Peers];
            bool changed = change(peers);
            _contents = before with { Peers = peers };
            if (changed) Write(_contents);
            return changed;
        }
    });

    private FileStream TakeLock()
    {
        long start = _time.GetTimestamp();
        while (true)
        {
            try
            {
                return new FileStream(_path + ".lock", Private(FileMode.OpenOrCreate, FileAccess.ReadWrite));
            }
            catch (IOException) when (_time.GetElapsedTime(start) < LockPatience)
            {
                Thread.Sleep(10); // another process writes; it takes milliseconds
            }
        }
    }

    private static Contents Read(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists) return new Contents([Header], []);
        if (file.Length > MaxFileBytes) throw Broken(path, $"it has more than {MaxFileBytes} bytes");
        var comments = new List<string>();
        var peers = new List<KnownPeer>();
        string[] lines = File.ReadAllLines(path, Encoding.UTF8);
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].StartsWith('#')) comments.Add(lines[i]);
            else if (!string.IsNullOrWhiteSpace(lines[i])) peers.Add(Parse(lines[i]) ?? throw Broken(path, $"line {i + 1} is not a known peer"));
        }

        return new Contents(comments, peers);
    }

    private static KnownPeer? Parse(string line)
    {
        string[] fields = line.Split(' ', 4);
        if (fields.Length < 4 || fields[3].Length == 0 || !PeerId.TryParse(fields[0], out PeerId? peer)) return null;
        PeerTrust? trust = fields[1] switch
        {
            "met" => PeerTrust.Met,
            "trusted" => PeerTrust.Trusted,
            _ => null,
        };
        bool isDay = DateOnly.TryParseExact(fields[2], "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateOnly since);
        return trust is { } level && isDay ? new KnownPeer(peer, fields[3], level, since) : null;
    }

    // Beside its place and then over it: a reader sees the old file or the new one.
    private void Write(Contents contents)
    {
        string temporary = $"{_path}.{Environment.ProcessId}-{Guid.NewGuid():N}";
        try
        {
            using (var writer = new StreamWriter(new FileStream(temporary, Private(FileMode.CreateNew, FileAccess.Write)), new UTF8Encoding(false)))
            {
                writer.NewLine = "\n";
                foreach (string comment in contents.Comments) writer.WriteLine(comment);
                foreach (KnownPeer peer in contents.Peers)
                {
                    string trust = peer.Trust == PeerTrust.Trusted ? "trusted" : "met";
                    writer.WriteLine($"{peer.Id} {trust} {peer.Since.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)} {peer.Name}");
                }

                writer.Flush();
                ((FileStream)writer.BaseStream).Flush(flushToDisk: true);
            }

            File.Move(temporary, _path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    private static FileStreamOptions Private(FileMode mode, FileAccess access)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return options;
    }

    private static void CreateFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private static T Guard<T>(string path, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new TransferException(TransferError.AccessDenied, $"cannot use the file of known peers '{path}': {e.Message}", e) { Path = path };
        }
        catch (IOException e) when (e is not TransferException)
        {
            throw new TransferException(TransferError.StorageFault, $"cannot use the file of known peers '{path}': {e.Message}", e) { Path = path };
        }
    }

    private static TransferException Broken(string path, string what) => new(
        TransferError.StorageFault, $"the file of known peers '{path}' cannot be used: {what}; correct it, or move it away")
    { Path = path };

    // A name is shown to people and stands on a line of its own.
    private static string Clean(string name, PeerId peer)
    {
        string text = string.Concat(name.EnumerateRunes().Select(rune => Rune.IsControl(rune) ? Rune.ReplacementChar : rune)).Trim();
        return text.Length > 0 ? text : peer.ToShortString();
    }

    // Case, composed and decomposed accents, and what cannot be seen make no two names of one.
    private static string NameKey(string name)
    {
        string text = string.Concat(name.EnumerateRunes()).Trim(); // well-formed
        int[] folded = new int[NameFolding.MaxExpansion * text.Length];
        int count = NameFolding.Fold(text, folded);
        return string.Join(' ', folded.Take(count));
    }
}
