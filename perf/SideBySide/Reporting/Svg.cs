using System.Globalization;
using System.Net;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>A drawing inside the report. Colours are classes of its style sheet, so that they fit light and dark.</summary>
internal sealed class Svg
{
    private readonly StringBuilder _body = new();
    private readonly string _title;
    private readonly double _width, _height;

    public Svg(double width, double height, string title)
    {
        _width = width;
        _height = height;
        _title = title;
    }

    public void Rect(double x, double y, double width, double height, string of, string tip = "") => Append(
        $"<rect class=\"{of}\" x=\"{x:0.##}\" y=\"{y:0.##}\" width=\"{Math.Max(0, width):0.##}\" height=\"{height:0.##}\">{Tip(tip)}</rect>");

    public void Line(double x1, double y1, double x2, double y2, string of) =>
        Append($"<path class=\"{of}\" d=\"M{x1:0.##} {y1:0.##}L{x2:0.##} {y2:0.##}\"/>");

    public void Circle(double x, double y, double radius, string of) => Append($"<circle class=\"{of}\" cx=\"{x:0.##}\" cy=\"{y:0.##}\" r=\"{radius:0.##}\"/>");

    /// <param name="anchor"><c>start</c>, <c>middle</c> or <c>end</c>.</param>
    /// <param name="x">Where it is anchored.</param>
    /// <param name="y">Its base line.</param>
    /// <param name="text">Whatever it says; it is escaped.</param>
    /// <param name="of">Its class.</param>
    public void Text(double x, double y, string text, string anchor = "start", string of = "") =>
        Append($"<text class=\"{of}\" x=\"{x:0.##}\" y=\"{y:0.##}\" text-anchor=\"{anchor}\">{WebUtility.HtmlEncode(text)}</text>");

    /// <summary>A line through points, or with <paramref name="floor"/> the area between it and that height.</summary>
    public void Curve(IReadOnlyList<(double X, double Y)> points, string of, double? floor = null)
    {
        var path = new StringBuilder();
        foreach ((double x, double y) in points)
            path.Append(path.Length == 0 ? 'M' : 'L').Append(CultureInfo.InvariantCulture, $"{x:0.##} {y:0.##}");
        if (floor is { } bottom) path.Append(CultureInfo.InvariantCulture, $"L{points[^1].X:0.##} {bottom:0.##}L{points[0].X:0.##} {bottom:0.##}Z");
        Append($"<path class=\"{of}\" d=\"{path}\"/>");
    }

    /// <summary>The slowest to the fastest round: a line with an end on either side.</summary>
    public void Spread(double from, double to, double y, double half)
    {
        Append($"<path class=\"spread\" d=\"M{from:0.##} {y:0.##}H{to:0.##}M{from:0.##} {y - half:0.##}V{y + half:0.##}M{to:0.##} {y - half:0.##}V{y + half:0.##}\"/>");
    }

    public override string ToString()
    {
        string title = WebUtility.HtmlEncode(_title);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"<svg viewBox=\"0 0 {_width:0} {_height:0}\" width=\"{_width:0}\" height=\"{_height:0}\" role=\"img\" aria-label=\"{title}\">{_body}</svg>\n");
    }

    private static string Tip(string text) => text.Length == 0 ? "" : $"<title>{WebUtility.HtmlEncode(text)}</title>";

    private void Append(FormattableString element) => _body.Append(element.ToString(CultureInfo.InvariantCulture));
}
