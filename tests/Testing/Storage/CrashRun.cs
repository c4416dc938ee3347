using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Storage.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Testing.Storage;

/// <summary>
/// A transfer of a small mixed tree into a <see cref="CrashDisk"/>, its steps chosen by a seed; and what has to hold wherever the power is
/// cut. One thread, so that a seed always means the same.
/// </summary>
internal sealed class CrashRun
{
    private const int Chunk = 4096;
    private const long Time = Received.Time;

    private static readonly ManifestEntry[] Entries =
    [
        Received.Folder(0, "d", 0x1ED, Time + 1),
        Received.File(1, "d/sub/large", 11 * Chunk + 123, 0x1A0, Time + 2),
        Received.File(2, "d/middle", 5 * Chunk, 0x1A4, Time + 3),
        Received.File(3, "s0", 100, 0x180, Time + 4),
        Received.File(4, "d/s1", Chunk + 900, 0x1A4, Time + 5),
        Received.File(5, "e/s2", 1, 0x124, Time + 6),
        Received.File(6, "empty", 0, 0x1A4, Time + 7),
        Received.Folder(7, "hollow", 0x1C0, Time + 8),
        new(8, EntryKind.Symlink, "link", 0, -1, 0, "d/middle"),
    ];

    private static readonly byte[][] Contents = [.. Entries.Select(entry => Received.Content((int)entry.Id + 1, (int)entry.Size))];

    private readonly CrashDisk _disk;
    private readonly Random _random;
    private readonly List<(int Moment, string Path)> _published = [];
    private readonly List<(int Moment, HashSet<(uint Id, long Chunk)> Claims)> _checkpoints = [];
    private readonly HashSet<(uint Id, long Chunk)> _written = [];
    private int _finished = int.MaxValue, _discarding = int.MaxValue;

    private CrashRun(CrashDisk disk, Random random)
    {
        _disk = disk;
        _random = random;
    }

    /// <summary>Records a run.</summary>
    public static CrashRun Record(int seed, Func<string, string, bool>? ignores = null)
    {
        var random = new Random(seed);
        var run = new CrashRun(new CrashDisk { Ignores = ignores, CanSyncFileSystem = seed % 4 != 3 }, random);
        run.Receive(stops: random.Next(3));
        return run;
    }

    /// <summary>Cuts the power at some moment and goes on from what is left, as often as the seed says. Throws what does not hold.</summary>
    public void Check(int seed)
    {
        var random = new Random(seed);
        int moment = random.Next(_disk.Moment + 1);
        try
        {
            Check(moment, random);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{e.Message}; the power was cut after\n{_disk.Describe(moment)}", e);
        }
    }

    private void Check(int moment, Random random)
    {
        CrashDisk left = _disk.CutPower(moment, random);
        CheckNames(left, moment);
        if (random.Next(4) == 0)
        {
            // once more, while the run that recovers is at work
            CrashRun recovering = new(left, random);
            recovering.Receive(stops: 0);
            left = left.CutPower(random.Next(left.Moment + 1), random);
            CheckNames(left, moment);
            recovering = new CrashRun(left, random);
            recovering.Complete();
        }
        else
        {
            var recovering = new CrashRun(left, random);
            recovering.CheckClaims(CheckpointBefore(moment));
            recovering.Complete();
        }
    }

    private ReceiveStore Open() => ReceiveStore.Open("/", Received.Id, new ReceiveStoreOptions
    {
        Storage = _disk,
        TimeProvider = new FakeTimeProvider(),
        OwnSyncBytes = 2 * Chunk,
        AllowSymlinks = true,
        Published = outcome =>
        {
            if (outcome.Error is { } e) throw new InvalidOperationException($"{outcome.Entry.Path} was not published", e);
            _published.Add((_disk.Moment, outcome.Entry.Path));
        },
    });

    private void Receive(int stops)
    {
        for (int i = 0; i <= stops; i++)
        {
            ReceiveStore store = Open();
            bool isLast = i == stops;
            if (_random.Next(2) == 0) store.HoldBatches(); // as while a manifest is on its way
            var files = new Dictionary<uint, ReceiveFile>();
            var wanted = new List<(uint Id, long Chunk)>();
            foreach (ManifestEntry entry in Entries)
            {
                if (entry.Kind != EntryKind.File || store.TryGetExisting(entry)) continue;
                ReceiveFile file = store.OpenFile(entry, Chunk);
                files.Add(entry.Id, file);
                for (long chunk = 0; chunk < file.ChunkCount; chunk++)
                {
                    if (!file.HasChunk(chunk)) wanted.Add((entry.Id, chunk));
                }

                if (file.IsComplete) Publish(files, entry.Id);
            }

            _random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(wanted));
            int enough = isLast ? wanted.Count : _random.Next(wanted.Count + 1);
            foreach ((uint id, long chunk) in wanted.Take(enough))
            {
                files[id].WriteChunk(Contents[id], chunk, Chunk);
                _written.Add((id, chunk));
                if (files[id].IsComplete) Publish(files, id);
                int dice = _random.Next(10);
                if (dice == 0)
                {
                    if (_random.Next(2) == 0) store.ReleaseBatches();
                    store.PublishPending();
                }

                if (dice is not (1 or 2)) continue;
                store.Checkpoint();
                _checkpoints.Add((_disk.Moment, [.. _written]));
            }

            if (isLast)
            {
                store.ReleaseBatches();
                Finish(store);
                _finished = _disk.Moment;
                store.DiscardStaging();
            }
            else
            {
                foreach (ReceiveFile file in files.Values) file.Dispose();
            }

            store.DisposeAsync().AsTask().GetAwaiter().GetResult();
            if (store.Fault is { } fault) throw fault;
            if (!isLast) _checkpoints.Add((_disk.Moment, [.. _written]));
        }
    }

    private void Publish(Dictionary<uint, ReceiveFile> files, uint id)
    {
        files[id].Publish();
        files[id].Dispose();
    }

    private void Finish(ReceiveStore store)
    {
        foreach (ManifestEntry entry in Entries)
        {
            if (entry.Kind == EntryKind.Directory) store.CreateDirectory(entry);
            if (entry.Kind == EntryKind.Symlink) store.CreateSymlink(entry);
        }

        if (store.Finish() is [var failure, ..]) throw failure;
        _discarding = _disk.Moment;
    }

    private HashSet<(uint, long)> CheckpointBefore(int moment)
    {
        if (moment > _discarding) return [];
        int last = _checkpoints.FindLastIndex(checkpoint => checkpoint.Moment <= moment);
        return last < 0 ? [] : _checkpoints[last].Claims;
    }

    /// <summary>No final name without its content, mode and time; none missing that was reported.</summary>
    private void CheckNames(CrashDisk left, int moment)
    {
        foreach (ManifestEntry entry in Entries)
        {
            if (entry.Kind != EntryKind.File) continue;
            byte[]? there = left.ReadFile(entry.Path);
            if (there is null)
            {
                Require(
                    !_published.Any(published => published.Path == entry.Path && published.Moment <= moment),
                    $"{entry.Path} was acknowledged and is gone");
                continue;
            }

            CheckFile(left, entry, there);
        }

        if (moment >= _finished) CheckAll(left);
    }

    private static void CheckFile(CrashDisk left, ManifestEntry entry, byte[] there)
    {
        Require(there.AsSpan().SequenceEqual(Contents[entry.Id]), $"{entry.Path} has a final name and other content");
        StorageStat stat = left.Look(entry.Path)!.Value;
        Require(stat.Mode == entry.Mode, $"{entry.Path} has mode {stat.Mode:x}");
        Require(stat.ModifiedUnixNanoseconds == entry.ModifiedUnixNanoseconds, $"{entry.Path} has another time");
    }

    /// <summary>No journal bit without its data; and none missing that a checkpoint had made durable.</summary>
    private void CheckClaims(HashSet<(uint Id, long Chunk)> durable)
    {
        ReceiveStore store = Open();
        foreach (ManifestEntry entry in Entries)
        {
            if (entry.Kind != EntryKind.File || store.TryGetExisting(entry)) continue;
            using ReceiveFile file = store.OpenFile(entry, Chunk);
            for (long chunk = 0; chunk < file.ChunkCount; chunk++)
            {
                bool claimed = file.IsClaimed(chunk);
                Require(!claimed || file.HasChunk(chunk), $"{entry.Path}: the journal claims chunk {chunk} without its data");
                Require(claimed || !durable.Contains((entry.Id, chunk)), $"{entry.Path}: chunk {chunk} of a checkpoint is lost");
            }
        }

        store.DisposeAsync().AsTask().GetAwaiter().GetResult();
        if (store.Fault is { } fault) throw fault;
    }

    private void Complete()
    {
        Receive(stops: 0);
        CheckAll(_disk);
        Require(!_disk.Paths().Any(path => path.StartsWith(".fastshare", StringComparison.Ordinal)), "staging is left");
    }

    private static void CheckAll(CrashDisk disk)
    {
        foreach (ManifestEntry entry in Entries)
        {
            switch (entry.Kind)
            {
                case EntryKind.File:
                    CheckFile(disk, entry, disk.ReadFile(entry.Path) ?? throw new InvalidOperationException($"{entry.Path} is missing"));
                    break;
                case EntryKind.Directory:
                    Require(disk.Look(entry.Path) is { Kind: StorageKind.Folder } stat && stat.Mode == entry.Mode
                        && stat.ModifiedUnixNanoseconds == entry.ModifiedUnixNanoseconds, $"{entry.Path} is no such folder");
                    break;
                default:
                    Require(disk.Look(entry.Path) is { Kind: StorageKind.Symlink }, $"{entry.Path} is no link");
                    break;
            }
        }

        // no entry tells their mode: that of any new folder
        foreach (string folder in (string[])["d/sub", "e"]) Require(disk.Look(folder)?.Mode == 0x1FF, $"{folder} stays closed");
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds) throw new InvalidOperationException(otherwise);
    }
}
