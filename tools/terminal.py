#!/usr/bin/env python3
"""terminal.py - an SVG picture of a terminal, made from a real run.

    tools/terminal.py -o docs/terminal.svg            the commands of README's picture, with build/release/weir

Each command runs in a pseudo-terminal of 80 columns; what it prints is drawn as it came, with dim and bold text. The
picture follows the reader's choice of light or dark. Lines that are too many are cut in the middle, with a word.
"""
import argparse
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import termios
import time

COLUMNS, ROWS = 80, 200
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODEL = "models/demo/weir-demo.gguf"
COMMANDS = [f"weir plan {MODEL} --mem 36M | head -3", f'weir run {MODEL} --mem 36M -n 60 --seed 7 -p "The old man"']
CELL_W, CELL_H, PAD = 8.4, 18, 16
STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de } .text { fill: #1f2328 } .dim { fill: #6e7781 } .bold { font-weight: 700; fill: #1f2328 }
  .prompt { fill: #1a7f37; font-weight: 700 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #30363d } .text { fill: #e6edf3 } .dim { fill: #8b949e } .prompt { fill: #3fb950 }
    .bold { fill: #e6edf3 }
  }
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
"""


def run(command):
    """All that the command prints to a terminal."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = os.path.join(ROOT, "build", "release") + os.pathsep + os.environ["PATH"]
    process = subprocess.Popen(command, shell=True, stdin=side, stdout=side, stderr=side, cwd=ROOT,
                               env={**os.environ, "PATH": path, "TERM": "xterm-256color"}, start_new_session=True)
    os.close(side)
    output = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the terminal's last program has ended
            break
        if not piece:
            break
        output += piece
    if process.wait() != 0:
        raise SystemExit(f"terminal.py: {command}: exit {process.returncode}: {output.decode(errors='replace')}")
    return output.decode("utf-8", "replace")


def screen(output):
    """Rows of (character, style), as a terminal would show them: returns, erased lines, wrapping and styles."""
    rows, column, style = [[]], 0, "text"
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.|\n", output):
        if part.startswith("\x1b"):
            if part.endswith("m"):
                codes = part[2:-1].split(";")
                style = "dim" if "2" in codes or "90" in codes else "bold" if "1" in codes else "text"
            elif part.endswith("K"):
                rows[-1] = rows[-1][:column]
        elif part == "\n":
            rows.append([])
            column = 0
        elif part == "\r":
            column = 0
        elif part >= " ":
            if column == COLUMNS:
                rows.append([])
                column = 0
            rows[-1] += [(" ", "text")] * (column - len(rows[-1]))
            rows[-1][column:column + 1] = [(part, style)]
            column += 1
    while rows and not rows[-1]:
        rows.pop()
    return rows


def draw_row(row, y):
    spans, at = [], 0
    while at < len(row):
        end = at
        while end < len(row) and row[end][1] == row[at][1]:
            end += 1
        text = html.escape("".join(character for character, _ in row[at:end]))
        spans.append(f'<tspan x="{PAD + at * CELL_W:.1f}" class="{row[at][1]}">{text}</tspan>')
        at = end
    return f'<text xml:space="preserve" y="{y}">' + "".join(spans) + "</text>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", default="docs/terminal.svg")
    parser.add_argument("--rows", type=int, default=40, help="of one command's output at most")
    parser.add_argument("commands", nargs="*", default=COMMANDS)
    options = parser.parse_args()
    rows = []
    for command in options.commands:
        rows += [[("$", "prompt"), (" ", "text")] + [(character, "bold") for character in command]]
        shown = screen(run(command))
        if len(shown) > options.rows:
            cut = f"({len(shown) - options.rows + 1} more lines)"
            shown = shown[:options.rows - 1] + [[(character, "dim") for character in cut]]
        rows += shown + [[]]
    rows.pop()
    width, height = COLUMNS * CELL_W + 2 * PAD, len(rows) * CELL_H + 2 * PAD
    body = "\n".join(draw_row(row, PAD + 14 + index * CELL_H) for index, row in enumerate(rows))
    title = "A terminal: " + "; ".join(options.commands)
    with open(options.o, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">\n'
                   f"<title>{html.escape(title)} ({time.strftime('%Y-%m-%d')})</title>\n<style>{STYLE}</style>\n"
                   f'<rect class="ground" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>\n'
                   f"{body}\n</svg>\n")


main()
