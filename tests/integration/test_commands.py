"""What all subcommands have in common: help, arguments, and databases that don't suit."""

import json
import re
import socket
import subprocess

import pytest

from harness import BIN
from harness.process import clean_env
from harness.system import LOGINS, config, login_of
from harness.wait import until

# Every subcommand, with arguments that are right as such.
CALLS = {
    "run": None,
    "migrate": None,
    "check": None,  # says it as one of many things
    "destination list": [],
    "destination show": ["d"],
    "destination put": ["-"],
    "destination patch": ["d", "{}"],
    "destination enable": ["d"],
    "destination disable": ["d"],
    "destination test": ["d"],
    "secret key": None,
    "secret seal": None,
    "secret rotate": [],
    "send": ["--destination", "d", "--wait"],
    "event": ["e"],
    "attempts": [],
    "replay": ["--event", "e"],
    "top": ["--json"],
    "prune": ["--older-than", "90d"],
    "probe": None,
    "completion bash": None,
    "version": None,
    "help": None,
}

# For those that read it.
STDIN = json.dumps({"id": "d", "config": config()})


def mms_worker(*words, **env):
    return subprocess.run([BIN / "mms-worker", *words], env=clean_env(**env), capture_output=True, text=True, timeout=30, input=STDIN)


def listed():
    """The commands that `help` lists."""
    return re.findall(r"^  (\S+(?: [a-z]+)?)  ", mms_worker("help").stdout, re.MULTILINE)


def with_database():
    return [name for name, words in CALLS.items() if words is not None]


def test_the_list_above_is_whole():
    assert sorted(listed()) == sorted(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_every_command_has_help(name):
    """The same by `NAME --help`, `NAME -h` and `help NAME`; readable at 96 columns, without settings."""
    asked = [mms_worker(*name.split(), "--help"), mms_worker(*name.split(), "-h"), mms_worker("help", *name.split())]
    assert [(done.returncode, done.stderr) for done in asked] == [(0, "")] * 3
    assert len({done.stdout for done in asked}) == 1
    assert asked[0].stdout.startswith(f"usage: mms-worker {name}")
    if name != "run":
        assert max(map(len, asked[0].stdout.splitlines())) <= 96


@pytest.mark.parametrize(
    "words, expected",
    [
        (["attempts", "--fly"], "attempts: no such option: '--fly'"),
        (["attempts", "--event"], "attempts: --event: a value is missing, expected ID"),
        (["attempts", "--json=yes"], "attempts: --json: takes no value"),
        (["attempts", "--event", "e", "--event=f"], "attempts: --event: given twice"),
        (["attempts", "now"], "attempts: unexpected argument: 'now'"),
        (["attempts", "a\nb"], "attempts: unexpected argument: 'a b'"),
        (["fly"], "no such command: 'fly'"),
        ([], "a command is missing"),
        (["help", "fly"], "help: no such command: 'fly'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments(words, expected):
    """One line, status 2, before anything is asked of a server."""
    done = mms_worker(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", with_database())
def test_the_database_is_away(name):
    """One line that says so, status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://u:geheim@127.0.0.1:{port}/db"
    done = mms_worker(*name.split(), *CALLS[name], MMS_DATABASE_URL=url, MMS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith(f"mms-worker {name}: PostgreSQL: ") and done.stderr.count("\n") == 1
    assert "refused" in done.stderr and "geheim" not in done.stderr + done.stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("change, expected", [
    ("delete from mms.schema_migrations where version = (select max(version) from mms.schema_migrations)", "mms-worker migrate"),
    ("insert into mms.schema_migrations (version, name) values (999, 'from_the_future')", "newer"),
    ("drop schema mms cascade", "mms-worker migrate"),
], ids=["older", "newer", "none"])
def test_the_schema_is_of_another_version(system, change, expected):
    """One line that says what to do, status 1, and nothing was done: the topic stays empty."""
    system.query(change)
    for name in with_database():
        done = system.command(*name.split(), *CALLS[name], stdin=STDIN)
        assert done.status == 1 and (done.out == "" or name == "top"), name  # top shows what else there is
        assert done.err.startswith(f"mms-worker {name}: PostgreSQL: ") and expected in done.err and done.err.count("\n") == 1
    assert system.kafka.consume(system.events_topic) == []


@pytest.mark.timeout(60)
def test_a_refusal_names_the_role_that_would_do(system):
    """A login without any role: each command says whose member it would have to be, as its help does. So does a worker."""
    stranger = "do $$ begin create role a_stranger login; exception when duplicate_object or unique_violation then null; end $$"
    system.query(stranger)
    url = system.postgres.url(system.database, "a_stranger")
    for name in with_database():
        role = LOGINS[login_of(name.split()[0])][1]
        done = system.command(*name.split(), *CALLS[name], stdin=STDIN, database_url=url)
        assert done.status == 1
        assert done.err == f"mms-worker {name}: PostgreSQL: permission denied for schema mms; this needs the rights of {role}\n"
        assert f"needs the rights of {role}." in mms_worker(*name.split(), "--help").stdout
    done = system.command("destination", "put", "-", stdin=STDIN, login="analyst")
    assert "permission denied for table " in done.err and done.err.endswith("; this needs the rights of mms_operator\n")
    done = system.migrate(check=False, database_url=url)
    assert done.returncode == 1 and done.stderr.endswith("; this needs the owner of the database\n") and done.stderr.count("\n") == 1
    assert "this needs the rights of mms_worker" in system.command("check", database_url=url).out
    worker = system.worker(database_url=url)
    until(lambda: "has to be a member of mms_worker" in worker.get("/readyz")[1], 10, "the worker to say so")


def test_a_full_disk_is_no_success():
    """What could not be written is not done."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "mms-worker", "help"], stdout=full, stderr=subprocess.PIPE, text=True, env=clean_env(), timeout=30)
    assert done.returncode == 1 and done.stderr == "mms-worker help: stdout: No space left on device\n"
