#!/usr/bin/python3
"""The reference pages: what the program itself says about its subcommands and metrics, and the database about its tables.

`make reference` writes them; a test compares them with what is written (integration/test_documentation.py).
"""

import re
import subprocess
import sys
from pathlib import Path

from harness import BIN, BUILD, ROOT
from harness.broker import Broker
from harness.postgres import Postgres
from harness.system import System
from harness.wait import until

MADE = "Made by `make reference` from {}; don't edit it.\n"


def commands():
    """The names of all subcommands, in the order of the help."""
    return re.findall(r"^  (\S+(?: [a-z]+)?)  ", _said("help"), re.MULTILINE)


def _said(*words):
    done = subprocess.run([BIN / "mms-worker", *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def command_help(name):
    """What `NAME --help` says, without the settings, which OPERATING.md explains."""
    return _said(*name.split(), "--help").split("\nSettings, from the environment:")[0].rstrip()


def metric_rows(scrape):
    """(name, type, label names, help) of each metric in a scrape, by name."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", scrape, re.MULTILINE))
    labels = {name: [] for name in kinds}
    for sample, inner in re.findall(r"^([a-z_]+)(?:\{(.*?)\})? \S+$", scrape, re.MULTILINE):
        name = sample if sample in kinds else re.sub(r"_(bucket|sum|count)$", "", sample)
        for label in re.findall(r'([a-z_]+)="', inner or ""):
            if label not in labels[name] and label != "le":
                labels[name].append(label)
    return [(name, kinds[name], ", ".join(labels[name]), helps[name]) for name in sorted(kinds)]


def program_page(scrape):
    """worker/REFERENCE.md."""
    lines = ["# Reference: subcommands and metrics\n", MADE.format("`--help` and `/metrics`"), "## Subcommands\n"]
    for name in commands():
        lines += [f"### {name}\n", *("    " + line if line else "" for line in command_help(name).splitlines()), ""]
    lines += ["## Metrics\n", "| name | type | labels | |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in metric_rows(scrape)]
    return "\n".join(lines) + "\n"


_RELATIONS = """
    select c.relname as name, obj_description(c.oid, 'pg_class') as comment,
           case c.relkind when 'v' then 'view' else 'table' end as kind, c.oid
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'mms' and c.relkind in ('r', 'p', 'v') and not c.relispartition
     order by c.relkind = 'v' desc, c.relname"""

_COLUMNS = """
    select a.attname as name, format_type(a.atttypid, null) as type, col_description(a.attrelid, a.attnum) as comment
      from pg_attribute a
     where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
     order by a.attnum"""


def _cell(text):
    return (text or "").replace("|", "\\|").replace("\n", " ")


def tables_page(system):
    """schemas/REFERENCE.md."""
    lines = ["# Reference: views and tables\n", MADE.format("the database's comments (`\\d+ mms.attempts` in psql)")]
    for relation in system.query(_RELATIONS):
        lines += [f"## {relation['kind']} mms.{relation['name']}\n", f"{relation['comment']}.\n", "| column | type | |", "|---|---|---|"]
        lines += [f"| `{c['name']}` | {c['type']} | {_cell(c['comment'])} |" for c in system.query(_COLUMNS, relation["oid"])]
        lines += [""]
    return "\n".join(lines)


def _whole_scrape(system):
    """The metrics of a worker that has done something: some are left out until their value is known."""
    worker = system.worker(callback_listen="127.0.0.1:0", status_callback_url="https://example.com/status").wait_ready()
    system.produce(system.event("e", "nowhere"))
    late = ("mms_kafka_consumer_lag_events ", "mms_database_statistics_age_seconds ")

    def scrape():
        text = worker.get("/metrics")[1]
        return text if all(f"\n{name}" in text for name in late) else None

    return until(scrape, 30, "all metrics", interval=0.2)


def pages(system):
    """The text of each page, by its path. `system` gets a worker."""
    return {
        ROOT / "worker/REFERENCE.md": program_page(_whole_scrape(system)),
        ROOT / "schemas/REFERENCE.md": tables_page(system),
    }


def main():
    directory = BUILD / "reference"
    topics = {"events": 1, "results": 1, "dead-letters": 1}
    with (
        Postgres(directory / "postgres") as postgres,
        Broker(BIN / "mms-broker", directory, topics) as kafka,
        System(postgres, kafka, directory, list(topics)) as system,
    ):
        for path, text in pages(system).items():
            Path(path).write_text(text)
            print(f"  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
