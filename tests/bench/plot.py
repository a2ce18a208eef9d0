"""build/bench/pace.svg and .png: when some destinations sent, and how long the gaps were."""

import subprocess

from harness.process import clean_env

from .figures import gaps
from .world import OUT, SCRATCH

SHOWN, SECONDS = 24, 12  # destinations, and seconds from the middle of the run
_BIN = 0.25  # ms
_SCRIPT = """\
set terminal {terminal}
set output '{output}'
set multiplot
set tmargin 3
set tics nomirror scale 0.5 textcolor rgb '#444444'
set border 3 lc rgb '#999999'
set key off

set origin 0, 0.36
set size 1, 0.64
set lmargin 9
set rmargin 3
set label 1 "{title}" at graph 0, graph 1.06 left textcolor rgb '#222222'
set xrange [0:{seconds}]
set yrange [-0.7:{shown} - 0.3]
set xtics 1
set ytics 4
set grid xtics lc rgb '#e8e8e8' lt 1
set xlabel 'seconds' textcolor rgb '#444444'
set ylabel 'destination' textcolor rgb '#444444'
plot '{dots}' using 1:2 title 'starts of POSTs' with points pt 7 ps {point} lc rgb '#1f6fb4'

set origin 0, 0
set size 1, 0.36
set label 1 "{gap_title}" at graph 0, graph 1.12 left textcolor rgb '#222222'
set xrange [-1:{most}]
set yrange [0:*]
set xtics autofreq
set ytics autofreq
set grid ytics lc rgb '#e8e8e8' lt 1
set xlabel 'milliseconds beyond 1000 (left of the red line would be early)' textcolor rgb '#444444'
set ylabel 'gaps' textcolor rgb '#444444'
set boxwidth {bin}
set style fill solid 1.0
set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '#c0392b' lw 1.5
plot '{histogram}' using 1:2 title 'gaps' with boxes lc rgb '#7fb2dc'
unset multiplot
set tmargin 3
"""


def pace(posts):
    """Draws both files from what the simulator saw."""
    OUT.mkdir(parents=True, exist_ok=True)
    excess = [1000 * (gap - 1) for times in posts.by_phone.values() for gap in gaps(times)]
    _write("dots", _dots(posts))
    most = _write("histogram", _histogram(excess))
    for kind, terminal, point in (
        ("svg", "svg size 1000,760 dynamic enhanced font 'sans,13' background '#ffffff'", 0.35),
        ("png", "pngcairo size 1500,1140 enhanced font 'sans,17' background '#ffffff'", 1.0),
    ):
        script = _SCRIPT.format(
            terminal=terminal, output=OUT / f"pace.{kind}", point=point, dots=SCRATCH / "dots", seconds=SECONDS,
            shown=SHOWN, histogram=SCRATCH / "histogram", bin=_BIN, most=most,
            title=f"{SHOWN} of {len(posts.by_phone)} busy destinations: a dot for the start of every POST",
            gap_title=f"all {len(excess)} gaps: the smallest is {1000 + min(excess):.2f} ms",
        )  # fmt: skip
        subprocess.run(["gnuplot"], input=script, text=True, check=True, env=clean_env())


def _dots(posts):
    middle = posts.times[len(posts.times) // 2] - SECONDS / 2
    for row, phone in enumerate(sorted(posts.by_phone)[:SHOWN]):
        for at in posts.by_phone[phone]:
            if 0 <= at - middle <= SECONDS:
                yield at - middle, row


def _histogram(excess):
    counts = {}
    for value in excess:
        column = int(value // _BIN)
        counts[column] = counts.get(column, 0) + 1
    for column in sorted(counts):
        yield (column + 0.5) * _BIN, counts[column]


def _write(name, rows):
    """Writes a data file; returns the largest x, rounded up."""
    rows = list(rows)
    (SCRATCH / name).write_text("".join(f"{x:.6f} {y}\n" for x, y in rows))
    return max((x for x, _ in rows), default=1) + 1
