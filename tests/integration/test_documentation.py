"""What is written down is what the program has."""

import json
import re
import subprocess
import textwrap

import jsonschema
import reference

from harness import BIN, ROOT

README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "worker/OPERATING.md").read_text()
ANALYSING = (ROOT / "schemas/ANALYSING.md").read_text()


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


def test_every_setting_is_in_the_operators_page():
    """And the page has no other."""
    shown = subprocess.run([BIN / "mms-worker", "help", "run"], capture_output=True, text=True, timeout=10, check=True).stdout
    settings = set(re.findall(r"^  (MMS_[A-Z_]+)(?:  |$)", shown, re.MULTILINE))
    assert len(settings) > 15
    table = OPERATING[OPERATING.index("## Settings") :]
    documented = {name for line in table.splitlines() if line.startswith("| `MMS_") for name in re.findall(r"`(MMS_[A-Z_]+)`", line.split("|")[1])}
    assert documented == settings


def test_the_reference_is_what_the_program_has(system):
    """Every subcommand and option, metric, table and column, to the letter."""
    for path, text in reference.pages(system).items():
        assert path.read_text() == text, f"{path.name} is out of date; `make reference` writes it"


def blocks(text):
    """The indented blocks of a page, without their indentation."""
    found = re.findall(r"(?:^(?: {4,}.*)?\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block).strip() for block in found if block.strip()]


def test_the_ready_queries_run(system):
    """Each is right, analysts may ask it, and those about what there is have rows."""
    system.destination("des_alerts")
    system.produce(system.event("evt_1", "des_alerts"), system.event("evt_2", "des_nowhere"))
    system.worker()
    system.wait_states(accepted=1)
    queries = [query for block in blocks(ANALYSING) if block.startswith("select") for query in block.split(";\n\n")]
    assert len(queries) >= 12
    empty = []
    with system.session("analyst") as cursor:
        for query in queries:
            cursor.execute(query.rstrip(";"))
            if not cursor.fetchall():
                empty.append(re.search(r"from (mms\.\w+)", query).group(1))
    # Nothing failed, nothing is unknown, nobody has opted out.
    assert empty == ["mms.attempts", "mms.deliveries", "mms.opt_outs"]


def test_every_link_leads_somewhere():
    """In every page of the documentation: to a file that is there, and a section that it has."""
    pages = [path for path in ROOT.glob("**/*.md") if "build" not in path.relative_to(ROOT).parts]
    assert len(pages) > 10
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            if target.startswith("https://"):
                continue
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append((str(page.relative_to(ROOT)), target))
    assert broken == []


def anchors(page):
    """The names of a page's sections, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
