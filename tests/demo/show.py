"""Printing for people: sections, tables, and a table that is redrawn in place on a terminal."""

import os
import shutil
import sys
import time

WIDTH = 98
REDRAW = 0.25  # seconds between two looks
LOG_EVERY = 5.0  # seconds between two printed tables where nothing can be redrawn


def say(text=""):
    print(text, flush=True)


def step(name, text):
    """One line for one thing that was started."""
    say(f"  {name:<12} {text}")


def section(title, note=""):
    say(f"\n== {title} " + "=" * max(2, WIDTH - len(title) - 4))
    if note:
        say(note)


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)


def table_lines(columns, rows):
    """Aligned lines. columns: names; one that ends in '>' is right-aligned. rows: sequences, or a text across all."""
    names = [name.rstrip(">") for name in columns]
    cells = [row if isinstance(row, str) else [_cell(value) for value in row] for row in rows]
    widths = [
        max([len(name)] + [len(row[i]) for row in cells if not isinstance(row, str)]) for i, name in enumerate(names)
    ]

    def line(values):
        parts = [
            value.rjust(width) if column.endswith(">") else value.ljust(width)
            for value, width, column in zip(values, widths, columns)
        ]
        return ("  " + "  ".join(parts)).rstrip()

    return [line(names), line(["-" * width for width in widths])] + [
        "  " + row if isinstance(row, str) else line(row) for row in cells
    ]


def table(columns, rows):
    for line in table_lines(columns, rows):
        say(line)


def shorten(text, length):
    return text if len(text) <= length else text[: length - 1] + "…"


def bar(done, whole, width=22):
    filled = width * done // whole if whole else 0
    return "#" * filled + "." * (width - filled)


class Live:
    """A block of lines that changes: redrawn in place on a terminal, printed now and then elsewhere."""

    def __init__(self):
        self._in_place = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._drawn = 0
        self._next = 0.0 if self._in_place else time.monotonic() + LOG_EVERY

    def draw(self, lines, last=False):
        """Shows the lines, if it is time; the last ones always."""
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + (0 if self._in_place else LOG_EVERY)
        if self._in_place:
            up = f"\x1b[{self._drawn}F" if self._drawn else ""
            width = shutil.get_terminal_size().columns - 1  # a wrapped line would be two
            sys.stdout.write(up + "".join(f"\x1b[2K{line[:width]}\n" for line in lines))
        else:
            sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._drawn = len(lines)
