using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The files that failed at the receiver, and what is told about them: the reasons of the first ones, for all a bit. Used under its
/// owner's lock, or once nothing is added any more.
/// </summary>
internal sealed class RejectedFiles
{
    /// <summary>Reasons kept: about as many as a person reads, and half a megabyte at most.</summary>
    public const int MaxReasons = 1000;

    private readonly EntrySet _ids = new();
    private readonly Dictionary<uint, FileFailure> _reasons = [];

    public void Add(in FileFailure failure)
    {
        if (_ids.Add(failure.Id) && _reasons.Count < MaxReasons) _reasons.Add(failure.Id, failure);
    }

    public bool Contains(uint id) => _ids.Contains(id);

    /// <summary>What is told of a file; null: it did not fail.</summary>
    public FileFailure? Find(uint id) => !_ids.Contains(id) ? null : _reasons.TryGetValue(id, out FileFailure reason)
        ? reason : new FileFailure(id, WireCode.Other, "it failed before, as many others did; the receiver's report says why");

    public IEnumerable<FileFailure> All() => _ids.All().Select(id => Find(id)!.Value);
}
