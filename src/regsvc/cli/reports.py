"""A comparison as Markdown, for a pull request, and as one HTML page that needs nothing else."""

from __future__ import annotations

import html as escaping
import re
import sys
from collections.abc import Iterator, Sequence

from regsvc.cli.code import Diff
from regsvc.cli.comparison import Section, drifted, sections, short_name
from regsvc.cli.curves import curves_svg
from regsvc.cli.pictures import drift_svg, text_width
from regsvc.cli.safe_console import harmless
from regsvc.content.comparison import Comparison, DatasetRow, MetricRow

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --best: #1a7f37; --bar: #4682b4; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { max-width: 28rem; overflow-wrap: anywhere; } th:first-child { color: var(--dim); font-weight: 400; }
.below th { padding-left: 1.25rem; } .below th, .below td { border-bottom-style: dotted; }
.best { color: var(--best); font-weight: 600; }
.note, summary { color: var(--dim); } summary { cursor: pointer; }
pre { overflow-x: auto; font-size: 13px; border: 1px solid var(--line); padding: .75rem; }
.add { color: #1a7f37; } .del { color: #cf222e; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; margin-bottom: 1rem; }
figure { margin: 0; } svg { display: block; } figcaption { font-size: .85rem; }
svg text { fill: currentColor; font-size: 11px; } svg .grid { stroke: var(--line); stroke-width: 1; }
"""

_CALLING = re.compile(r"(?<!\w)@(?=\w)|#(?=\d)")
"""What GitHub makes a mention or a link to an issue of, whatever is escaped; a joiner behind it breaks it."""
_FOLDED = 40
"""Rows of a table that is folded."""


def markdown(found: Comparison, diffs: Sequence[Diff]) -> str:
    """Tables of GitHub's Markdown; the best value of a metric is bold."""
    lines = [f"## {_title(found)}", ""]
    for section in sections(found):
        lines += [f"### {section.title}", "", *_markdown_table(section, found), ""]
    for diff in diffs:
        fence = "`" * max(3, 1 + max((len(run) for run in _runs(diff.shown)), default=0))
        lines += [f"### Code: {_cell(diff.title)}", "", f"{fence}diff", diff.shown.rstrip("\n"), fence, ""]
    lines += [f"> {_cell(note)}" for note in found.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def html(found: Comparison, diffs: Sequence[Diff]) -> str:
    """One page with all tables, pictures of metrics and drift, and the diffs; no scripts, nothing is loaded."""
    title = _plain(_title(found))
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
    ]
    for section in sections(found):
        parts += _section(section, found)
        if section.title == "Overview" and found.series:
            parts += ["<h2>Metrics over time</h2>", '<div class="pictures">', *_curves(found), "</div>"]
    for diff in diffs:
        parts += [f"<h2>Code: {_plain(diff.title)}</h2>"]
        parts += ["<pre>" + "\n".join(_diff_lines(diff.shown)) + "</pre>"]
    parts += [f'<p class="note">{_plain(note)}</p>' for note in found.notes]
    return "\n".join([*parts, "</body></html>", ""])


def _section(section: Section, found: Comparison) -> Iterator[str]:
    """Its table with the pictures that belong to it; a long table is folded."""
    title = _plain(section.title)
    yield f"<h2>{title}</h2>"
    if section.title == "Metrics":
        yield from ('<div class="pictures">', *(_bars(row, found) for row in found.metrics), "</div>")
        if any(any(row.best) for row in found.metrics):
            yield '<p class="note"><span class="best">Green</span> = better</p>'
    folded = len(section.rows) > _FOLDED
    if folded:
        yield f"<details><summary>{len(section.rows)} rows</summary>"
    yield from ('<div class="wide"><table>', *_html_rows(section, found), "</table></div>")
    if folded:
        yield "</details>"
    if section.title == "Datasets":
        yield from (picture for row in found.datasets for picture in _drifts(row, found))


def _title(found: Comparison) -> str:
    return " vs ".join(short_name(subject.name) for subject in found.subjects)


def _markdown_table(section: Section, found: Comparison) -> Iterator[str]:
    names = [short_name(subject.name) for subject in found.subjects]
    yield "| | " + " | ".join(map(_cell, names)) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for row in section.rows:
        cells = [f"**{_cell(cell.text)}**" if cell.best else _cell(cell.text) for cell in row.cells]
        yield f"| {_cell(row.name)} | " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """Text that cannot break out of its cell, nor become markup, nor notify people or link to issues."""
    plain = _CALLING.sub("\\g<0>\u200d", harmless(" ".join(text.split())))
    return "".join("\\" + char if char in "\\`*_[]<>|#~&$" else char for char in plain)


def _plain(text: str) -> str:
    """Text that is no markup of HTML, and turns no line around."""
    return escaping.escape(harmless(text))


def _runs(text: str) -> Iterator[str]:
    run = ""
    for char in text:
        if char == "`":
            run += char
        elif run:
            yield run
            run = ""


def _html_rows(section: Section, found: Comparison) -> Iterator[str]:
    names = "".join(f"<th>{_plain(short_name(each.name))}</th>" for each in found.subjects)
    yield f"<tr><th></th>{names}</tr>"
    for row in section.rows:
        cells = "".join(
            f'<td class="best">{_plain(cell.text)}</td>' if cell.best else f"<td>{_plain(cell.text)}</td>"
            for cell in row.cells
        )
        below = ' class="below"' if row.name.startswith("  ") else ""
        yield f"<tr{below}><th>{_plain(row.name.strip())}</th>{cells}</tr>"


def _curves(found: Comparison) -> Iterator[str]:
    """A picture for each metric that was logged over time."""
    names = [short_name(subject.name) for subject in found.subjects]
    for row in found.series:
        yield _figure(f"{row.key} by step", curves_svg(names, row.curves, harmless(row.key)))


def _drifts(row: DatasetRow, found: Comparison) -> Iterator[str]:
    """For each subject with other data than the first, the columns that drifted most."""
    shown = drifted(row)
    for subject, cell in zip(found.subjects, row.cells, strict=True):
        columns = {each.name: each for each in cell.drift} if cell is not None else {}
        pictures = [
            _figure(name, drift_svg(each.before, each.after, each.edges, each.labels, kind=each.type))
            for name in shown
            if (each := columns.get(name)) is not None and each.before
        ]
        if pictures:
            title = f"{row.split or 'data'} of {short_name(subject.name)}, beside the first"
            yield f'<p class="note">{_plain(title)}</p><div class="pictures">'
            yield from pictures
            yield "</div>"


def _figure(title: str, picture: str) -> str:
    return f"<figure><figcaption>{_plain(title)}</figcaption>{picture}</figure>"


def _bars(row: MetricRow, found: Comparison) -> str:
    """One metric as horizontal bars from zero, one a subject."""
    known = [value for value in row.values if value is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    span = min(high - low, sys.float_info.max) or 1.0
    height = 18 * len(row.values)
    names = [short_name(each.name).rpartition("/")[2][:16] for each in found.subjects]
    left, right = 8 + max(map(text_width, names)), 260
    parts = [
        f'<svg width="340" height="{height}" role="img" aria-label="{_plain(row.key)}">',
    ]
    for place, (value, best) in enumerate(zip(row.values, row.best, strict=True)):
        y = 18 * place
        parts.append(f'<text x="0" y="{y + 12}">{_plain(names[place])}</text>')
        if value is None:
            continue
        begin, end = sorted(left + (right - left) * (x / span - low / span) for x in (0.0, value))
        color = "var(--best)" if best else "var(--bar)"
        width = max(1.0, end - begin)
        parts.append(f'<rect x="{begin:.1f}" y="{y + 3}" width="{width:.1f}" height="11" fill="{color}"/>')
        parts.append(f'<text x="{end + 6:.1f}" y="{y + 12}">{value:.6g}</text>')
    return _figure(row.key, "".join([*parts, "</svg>"]))


def _diff_lines(diff: str) -> Iterator[str]:
    for line in diff.split("\n"):
        kind = {"+": "add", "-": "del"}.get(line[:1])
        text = _plain(line)
        yield f'<span class="{kind}">{text}</span>' if kind else text
