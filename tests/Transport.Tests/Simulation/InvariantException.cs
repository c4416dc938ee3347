namespace FastShare.Transport.Tests.Simulation;

/// <summary>A promise was broken in a simulated world.</summary>
internal sealed class InvariantException(string message) : Exception(message);
