using System.Runtime.CompilerServices;
using System.Text;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>What happened in a world, line by line. Costs nothing while it is off: lines are not even put together.</summary>
internal sealed class Trace(VirtualTime time, bool on)
{
    private readonly StringBuilder _text = new();

    public bool IsOn { get; } = on;

    public string Text => _text.ToString();

    public void Write([InterpolatedStringHandlerArgument("")] ref Line line)
    {
        if (IsOn) _text.Append(time.Now.TotalMilliseconds.ToString("0000000.000")).Append(' ').AppendLine(line.ToString());
    }

    /// <summary>A line that is put together only for a trace that is on.</summary>
    [InterpolatedStringHandler]
    internal ref struct Line
    {
        private StringBuilder.AppendInterpolatedStringHandler _inner;
        private readonly StringBuilder? _line;

        public Line(int literalLength, int formattedCount, Trace trace, out bool isOn)
        {
            isOn = trace.IsOn;
            if (!isOn) return;
            _line = new StringBuilder();
            _inner = new StringBuilder.AppendInterpolatedStringHandler(literalLength, formattedCount, _line);
        }

        public void AppendLiteral(string text) => _inner.AppendLiteral(text);

        public void AppendFormatted<T>(T value) => _inner.AppendFormatted(value);

        public readonly override string ToString() => _line?.ToString() ?? string.Empty;
    }
}
