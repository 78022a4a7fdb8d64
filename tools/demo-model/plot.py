"""plot.py - draw loss.tsv as a small SVG.    python3 plot.py loss.tsv loss.svg"""
import csv
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 50, 40, 20, 15
SERIES = (("train_nats", "training text", "#888888"), ("held_nats", "held-out books", "#1f5fa8"))


def main():
    with open(sys.argv[1]) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    last = max(float(row["tokens"]) for row in rows) / 1e6
    low, high = 3.0, 6.0

    def x(tokens):
        return LEFT + (WIDTH - LEFT - RIGHT) * float(tokens) / 1e6 / last

    def y(nats):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(high, float(nats))) / (high - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for step in range(7):
        nats = low + step * 0.5
        out.append(f'<path d="M{LEFT} {y(nats):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
                   f'<text x="{LEFT - 8}" y="{y(nats) + 4:.1f}" text-anchor="end">{nats:.1f}</text>')
    for tokens in range(0, int(last) + 1, 50):
        out.append(f'<text x="{x(tokens * 1e6):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{tokens}</text>')
    out.append(f'<text x="{WIDTH // 2}" y="{HEIGHT - 6}" text-anchor="middle">million tokens seen</text>')
    out.append(f'<text x="{LEFT}" y="13">loss, nats a token</text>')
    rounded = [row for row in rows if row["rounded"] == "1"]
    if rounded:
        start = x(rounded[0]["tokens"])
        out.append(f'<rect x="{start:.1f}" y="{TOP}" width="{WIDTH - RIGHT - start:.1f}" '
                   f'height="{HEIGHT - TOP - BOTTOM}" fill="#f2c14e" opacity="0.25"/>'
                   f'<text x="{start + 3:.1f}" y="{TOP + 14}" font-size="10">rounded</text>')
    for index, (column, label, colour) in enumerate(SERIES):
        points = " ".join(f"{x(row['tokens']):.1f},{y(row[column]):.1f}" for row in rows if float(row[column]) <= high)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{WIDTH - 230}" y="{60 + 18 * index}" fill="{colour}">{label}</text>')
    with open(sys.argv[2], "w") as file:
        file.write("\n".join(out + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
