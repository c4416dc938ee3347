namespace FastShare.SideBySide.Reporting;

/// <summary>The report's style sheet: light, and dark where the reader wants that.</summary>
internal static class ReportStyle
{
    public const string Css =
        """
        :root { color-scheme: light dark; --paper: #ffffff; --ink: #1b2530; --muted: #566472; --line: #dbe1e8; --grid: #e8ecf1; --card: #f5f7f9;
          --own: #0b7a57; --plain: #58a888; --other: #98acc0; --limit: #d19a2a; --behind: #b8552f; --good: #0b7a57; --bad: #b3372f; --warn: #fbf1d9; --warnink: #6b4d05; }
        @media (prefers-color-scheme: dark) { :root { --paper: #12171d; --ink: #e3e9ef; --muted: #9aa8b5; --line: #33404c; --grid: #232c35; --card: #1a2129;
          --own: #35c795; --plain: #2b8a69; --other: #5d7389; --limit: #d9a83f; --behind: #e08a63; --good: #35c795; --bad: #f0857c; --warn: #3a2f12; --warnink: #f2d58c; } }
        body { font: 15px/1.5 system-ui, "Segoe UI", sans-serif; color: var(--ink); background: var(--paper); max-width: 1080px; margin: 2rem auto; padding: 0 1rem 4rem; }
        h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.3rem; margin: 2.8rem 0 .4rem; border-top: 1px solid var(--line); padding-top: 1.4rem; }
        h3 { font-size: 1.05rem; margin: 1.6rem 0 .2rem; } p { margin: .4rem 0; max-width: 82ch; } .note { color: var(--muted); }
        .headline { font-size: 1.15rem; } .headline b.good { color: var(--good); } .headline b.bad { color: var(--bad); }
        .cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
        .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; } .card b { display: block; font-size: 1.35rem; }
        .card span { color: var(--muted); font-size: .87rem; }
        .warn { background: var(--warn); color: var(--warnink); border-radius: 8px; padding: .6rem 1rem; margin: 1rem 0; } .warn ul { margin: .3rem 0; padding-left: 1.3rem; }
        .warn li { overflow-wrap: anywhere; }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; font-size: .92rem; }
        td, th { padding: .22rem .65rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom; } th { color: var(--muted); font-weight: 600; }
        td:first-child, th:first-child { text-align: left; } tr.own td { font-weight: 650; color: var(--own); } td.good { color: var(--good); font-weight: 650; }
        td.bad { color: var(--bad); font-weight: 650; } td.none { color: var(--muted); } td.one { white-space: nowrap; }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: .6rem 0; } dt { color: var(--muted); } dd { margin: 0; }
        .legend span { margin-right: 1.3rem; white-space: nowrap; } .legend i { display: inline-block; width: 1em; height: .8em; margin-right: .4em; border-radius: 2px; }
        i.own { background: var(--own); } i.plain { background: var(--plain); } i.other { background: var(--other); } i.limit { background: var(--limit); }
        svg { max-width: 100%; height: auto; display: block; margin: .6rem 0; } svg text { font: 13px system-ui, "Segoe UI", sans-serif; fill: var(--ink); }
        svg text.small { font-size: 12px; } svg text.tiny { font-size: 11px; fill: var(--muted); } svg text.strong { font-weight: 650; }
        .small-plots { display: flex; flex-wrap: wrap; gap: .2rem 1rem; } .small-plots svg { margin: .2rem 0; }
        svg .own { fill: var(--own); stroke: var(--own); } svg .plain { fill: var(--plain); stroke: var(--plain); } svg .other { fill: var(--other); stroke: var(--other); }
        svg .limit { fill: var(--limit); stroke: var(--limit); } svg .behind { fill: var(--behind); stroke: var(--behind); } svg rect { stroke: none !important; }
        svg .waits { opacity: .4; } svg .area { opacity: .25; stroke: none; } svg .curve { fill: none; stroke-width: 1.6; }
        svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--muted); } svg .spread { stroke: var(--ink); stroke-width: 1.4; fill: none; }
        """;
}
