#!/usr/bin/env python3
"""plots.py - the pictures of docs/SPEED.md, drawn from its own tables.

    tools/plots.py            writes docs/speed-*.svg
    tools/plots.py --check    says which picture no longer shows what the tables say, and exits with 1

A picture is a bar for each row of one table: the first number of a cell is the bar, so a figure stands in one place only.
The pictures follow the reader's choice of light or dark.
"""
import html
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SPEED = os.path.join(ROOT, "docs", "SPEED.md")
WIDTH, LABEL_W, VALUE_W, BAR_H, GAP, TOP = 720, 260, 110, 16, 4, 34
STYLE = """
  .ground { fill: #ffffff } .text { fill: #1f2328 } .dim { fill: #59636e } .first { fill: #0969da } .second { fill: #8250df } .other { fill: #afb8c1 }
  .line { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .text { fill: #e6edf3 } .dim { fill: #9198a1 } .first { fill: #4493f8 } .second { fill: #ab7df8 } .other { fill: #59636e }
    .line { stroke: #30363d }
  }
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif } .title { font-size: 15px; font-weight: 600 }
"""


def table(text, header):
    """The rows of the table whose first line begins with these cells, as lists of cells."""
    lines = text.splitlines()
    found = [at for at, line in enumerate(lines) if line.startswith(header)]
    if len(found) != 1:
        sys.exit(f"plots.py: docs/SPEED.md: wanted one table that begins with \"{header}\", found {len(found)}")
    rows = []
    for line in lines[found[0] + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def number(cell):
    """The first number of a cell, or None."""
    match = re.match(r"[^0-9]{0,3}([0-9]+(?:\.[0-9]+)?)", cell)
    return float(match.group(1)) if match else None


def bars_of(rows, columns, label=lambda row: row[0]):
    """[(label, [(style, value, words)])] of the rows that have a number in one of the columns."""
    bars = []
    for row in rows:
        values = [(style, number(row[column]), words) for column, style, words in columns if number(row[column]) is not None]
        if values:
            bars.append((label(row), values))
    return bars


def draw(title, note, bars, unit, limit=None):
    """An SVG of horizontal bars; `limit` is a value that gets a line, with its words."""
    most = max(value for _, values in bars for _, value, _ in values)
    scale = (WIDTH - LABEL_W - VALUE_W) / most
    y, shapes = TOP, []
    for label, values in bars:
        middle = y + (len(values) * (BAR_H + GAP) - GAP) / 2
        shapes.append(f'<text class="text" x="{LABEL_W - 10}" y="{middle + 5:.0f}" text-anchor="end">{html.escape(label)}</text>')
        for style, value, words in values:
            length = max(value * scale, 1)
            shapes.append(f'<rect class="{style}" x="{LABEL_W}" y="{y}" width="{length:.1f}" height="{BAR_H}" rx="2"/>')
            shapes.append(f'<text class="dim" x="{LABEL_W + length + 6:.1f}" y="{y + 13}">{value:g}{unit}{" " + words if words else ""}</text>')
            y += BAR_H + GAP
        y += 3 * GAP
    if limit:
        x = LABEL_W + limit * scale
        shapes.append(f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{y - 2 * GAP}"/>')
    shapes.append(f'<text class="dim" x="12" y="{y + 10}">{html.escape(note)}</text>')
    height = y + 24
    words = "; ".join(f"{label}: " + ", ".join(f"{value:g}{unit} {word}".strip() for _, value, word in values) for label, values in bars)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">\n'
            f'<title>{html.escape(title)}</title>\n<desc>{html.escape(words)}</desc>\n<style>{STYLE}</style>\n'
            f'<rect class="ground" width="{WIDTH}" height="{height}"/>\n<text class="text title" x="12" y="20">{html.escape(title)}</text>\n'
            + "\n".join(shapes) + "\n</svg>\n")


def pictures(text):
    """{file name: SVG}."""
    routing = [(f"{label}, weir", values) for label, values in
               bars_of(table(text, "| memory it may use | decode |"), [(1, "first", "")])]
    nearest = re.search(r"nearest published engine, at (3 GiB) on six cores and a disk of 1.6 GB/s,\s+has ([0-9.]+) tokens/s", text)
    if nearest is None:
        sys.exit("plots.py: docs/SPEED.md: wanted the figure of the nearest published engine, found none")
    routing = [(re.sub(r" \(.*?\)", "", label), values) for label, values in routing]
    routing.append((f"{nearest.group(1)}, nearest published", [("other", float(nearest.group(2)), "(six cores)")]))
    far = bars_of(table(text, "| model, machine | weir / llama.cpp |"), [(1, "first", "")])
    far = [(re.sub(r" \(.*?\)|'s shape|, Q4_K_M|, Q8_0|, at 8 GiB|, [0-9.]+ GiB", "", label), values) for label, values in far]
    shapes = bars_of(table(text, "| Zen 3 class, AVX2 | layers | type | decode |"), [(3, "first", "decode"), (5, "second", "prompt")],
                     lambda row: f"{row[0]}, {row[2]}")
    return {
        "speed-memory.svg": draw("Tokens per second of a 17.3 GiB model, by the memory it may use",
                                 "Qwen3-30B-A3B's shape in Q4_K_M with the routing of a real text; 2 cores, disk at 1.2 GB/s.", routing, ""),
        "speed-far-below.svg": draw("How many times faster than llama.cpp when the model does not fit",
                                    "The same file in a memory group of 3 GiB (8 GiB for Qwen3.6), 2 cores, decode, runs in turns.", far, "x", 1),
        "speed-in-memory.svg": draw("How many times faster than llama.cpp when the model fits",
                                    "Real shapes with fewer layers, 2 cores of Zen 3 class, runs in turns. The line is llama.cpp's speed.", shapes, "x", 1),
    }


def main():
    with open(SPEED, encoding="utf-8") as file:
        drawn = pictures(file.read())
    stale = []
    for name, svg in drawn.items():
        path = os.path.join(ROOT, "docs", name)
        if sys.argv[1:] == ["--check"]:
            if not os.path.exists(path) or open(path, encoding="utf-8").read() != svg:
                stale.append(name)
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(svg)
        print(f"docs/{name}")
    if stale:
        sys.exit(f"plots.py: the tables of docs/SPEED.md say something else than docs/{', docs/'.join(stale)}: run tools/plots.py")


main()
