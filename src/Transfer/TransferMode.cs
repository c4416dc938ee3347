namespace FastShare.Transfer;

/// <summary>How chunks are sent.</summary>
public enum TransferMode
{
    /// <summary>Starts by the shape of the work. The default.</summary>
    Auto,

    /// <summary>One file after another over one stream: kind to disks and networks.</summary>
    Sequential,

    /// <summary>Many files and ranges at once over several streams.</summary>
    Parallel,
}
