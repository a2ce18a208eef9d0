"""Tables of figures, and what they must not exceed."""

MEMORY_MIB = 200  # of a worker, whatever comes
SLOTS_USED = 0.99

HEAD = (
    f"{'load':10} {'records':>8} {'intake/s':>9} {'digested':>9} {'behind':>7} {'slots used':>13} {'late ms (p50)':>13}"
    f" {'late p99':>13} {'min gap':>8} {'peak MiB':>13}"
)


def _pair(figures, key, form):
    return "/".join(form.format(figures[phase][key]) if figures[phase][key] is not None else "-" for phase in ("calm", "busy"))


def line(name, f):
    return (
        f"{name:10} {f['records']:8} {f['intake_per_s']:9.0f} {f['published_s']:8.1f}s {f['behind_s']:6.1f}s"
        f" {_pair(f, 'slots_used', '{:.4f}'):>13} {_pair(f, 'late_ms', '{:.1f}'):>13} {_pair(f, 'late_p99_ms', '{:.0f}'):>13}"
        f" {f['min_gap_ms']:8.1f} {f['calm_peak_mib']:5.0f}/{f['peak_mib']:<5.0f}"
    )


def disk_table(found):
    """Bytes for each hostile record: what came, and where it went."""
    lines = [f"\n{'load':10} {'came':>9} {'table':>9} {'indexes':>9} {'WAL':>9}   bytes a record"]
    for name, f in found.items():
        kinds = {"heap": 0, "indexes": 0, "wal": f["disk"]["wal"]}
        for part, size in f["disk"].items():
            if "." in part and not part.startswith("attempts"):
                kinds[part.partition(".")[2]] += size
        each = [value / f["records"] for value in (f["bytes"], kinds["heap"], kinds["indexes"], kinds["wal"])]
        lines.append(f"{name:10} " + " ".join(f"{value:9.0f}" for value in each))
    return "\n".join(lines) + "\n"


def judge(figures):
    """What was not kept."""
    slots_used = figures["busy"]["slots_used"]
    checks = [
        (figures["min_gap_ms"] < 1000, f"a gap of {figures['min_gap_ms']} ms"),
        (figures["peak_mib"] > MEMORY_MIB, f"{figures['peak_mib']:.0f} MiB of memory, more than {MEMORY_MIB}"),
        (figures["ready"] != 200, "the worker is not ready"),
        (not figures["crowd"] and slots_used < SLOTS_USED, f"{slots_used:.4f} of the slots were used"),
    ]
    return [text for broken, text in checks if broken]
