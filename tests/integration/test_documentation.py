"""What is written down is what the program has."""

import json
import re
import subprocess

import jsonschema

from harness import BIN, ROOT

README = (ROOT / "README.md").read_text()


def schema(name):
    return json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())


def test_every_table_and_column_is_commented(system):
    """psql's \\d+ explains everything."""
    bare = system.query(
        "select c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0 and not a.attisdropped"
        " where n.nspname = 'mms' and c.relkind in ('r', 'v')"
        " and (col_description(c.oid, a.attnum) is null or obj_description(c.oid, 'pg_class') is null)"
    )
    assert bare == []


def test_every_setting_is_in_the_readme():
    """And the README has no other."""
    shown = subprocess.run([BIN / "mms-worker", "help", "run"], capture_output=True, text=True, timeout=10, check=True).stdout
    settings = set(re.findall(r"^  (MMS_[A-Z_]+)(?:  |$)", shown, re.MULTILINE))
    assert len(settings) > 15
    table = README[README.index("## Settings") : README.index("## Contracts")]
    documented = {name for line in table.splitlines() if line.startswith("| `MMS_") for name in re.findall(r"`(MMS_[A-Z_]+)`", line.split("|")[1])}
    assert documented == settings


def test_the_examples_of_the_schemas_are_valid():
    for name in ("event", "destination", "result"):
        contract = schema(name)
        jsonschema.Draft202012Validator.check_schema(contract)
        for example in contract["examples"]:
            jsonschema.validate(example, contract)


def test_the_worker_takes_the_examples(system):
    """The schemas' examples of an event and of a destination become a message, and a valid result."""
    event = schema("event")["examples"][0]
    config = schema("destination")["examples"][0]
    config.update(to="+15557770000")
    system.query("insert into mms.destinations (id, config) values (%s, %s)", event["destination_id"], json.dumps(config))
    system.produce(event)
    system.worker()
    system.wait_states(accepted=1)
    result = system.results(1)[0]
    jsonschema.validate(result, schema("result"))
    assert (result["event_id"], result["connection_id"]) == (event["event_id"], event["connection_id"])
