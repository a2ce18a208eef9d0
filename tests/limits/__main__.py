"""`make limits`: see README.md. LOAD in the environment chooses (comma list), SHARE=0.1 makes the loads smaller.

Status: 0 all bounds were kept; 1 not; 2 wrong settings; 130 after Ctrl-C.
"""

import json
import os
import shutil

from harness import BUILD
from harness.program import Wrong, main

from . import loads, report
from .run import FULL, LimitsSystem, run, servers

OUT = BUILD / "limits"


def settings():
    names = os.environ.get("LOAD", "").replace(",", " ").split() or list(loads.ALL)
    for name in names:
        if name not in loads.ALL:
            raise Wrong(f"LOAD={name}: expected some of {', '.join(loads.ALL)}")
    try:
        share = float(os.environ.get("SHARE") or 1)
    except ValueError:
        share = 0
    if not 0 < share <= 100:
        raise Wrong(f"SHARE={os.environ['SHARE']}: expected a number above 0")
    return names, share


def limits(names, share):
    shutil.rmtree(OUT / "scratch", ignore_errors=True)
    found = {}
    with servers(OUT / "scratch") as (postgres, kafka):
        print(report.HEAD, flush=True)
        for name in names:
            load = loads.ALL[name]
            with LimitsSystem(postgres, kafka, OUT / "scratch" / name, name) as system:
                found[name] = run(system, load, max(2, int(load.full * share)), FULL)
            print(report.line(name, found[name]), flush=True)
            (OUT / "limits.json").write_text(json.dumps(found, indent=1))
    print(report.disk_table(found))
    complaints = [f"{name}: {complaint}" for name, figures in found.items() for complaint in report.judge(figures)]
    print("\n".join(complaints) or "limits: PASS")
    shutil.rmtree(OUT / "scratch", ignore_errors=True)
    return 1 if complaints else 0


if __name__ == "__main__":
    main("limits", lambda: limits(*settings()))
