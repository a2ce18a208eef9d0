"""Secrets stay put: canaries go through the whole system, faults and all, and are found only where they belong."""

import base64
import contextlib
import json
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import BIN, SANITIZED
from harness.canary import Canary, legible
from harness.echo import MODES, EchoProxy
from harness.process import clean_env, free_port, temp_dir
from harness.system import ACCOUNT, OWL, Worker, config, login_of
from harness.wait import until

KEY_ACCOUNT = "AC" + "f" * 32
THIRD_ACCOUNT = "AC" + "3" * 32
KEY = "SK" + "5" * 32
MISTAKES_ACCOUNT = "AC" + "1" * 32
PLAIN, SPELT = {}, {"token": True}

# Everything that is secret, or that somebody may think is; distinct, so that what is found says where it came from.
NAMES = {
    "auth_token": PLAIN,
    "auth_token of a third account": PLAIN,
    "auth_token beside an API key": PLAIN,
    "api_key_secret": PLAIN,
    "content that isn't valid": PLAIN,
    "proxy's password": PLAIN,
    "database's password": PLAIN,
    "database's password, as conninfo": PLAIN,
    "PGPASSWORD": PLAIN,
    "sasl.password": PLAIN,
    "key in a wrong place": {"text": base64.b64encode(secrets.token_bytes(32)).decode()},
    "ssl.key.password": PLAIN,
    "key in MMS_STATUS_CALLBACK_URL": SPELT,
    "key in status_callback": SPELT,
    "key in a media URL": SPELT,
    "token in a wrong place": SPELT,
    "token in texts of its own row": SPELT,
    "token in an event": SPELT,
    "token of a row that PostgreSQL complains of": SPELT,
    "token that PostgreSQL logs": SPELT,
    "token of a put that fails": PLAIN,
}

CONFIG = "table destinations, config"
TWILIO = "requests to Twilio"
ENVIRONMENT = "environment of the process"
FILES = "files of secrets"
KEYS = "files of keys"
SERVER_LOG = "PostgreSQL's log"
EVENTS = "topic of events"
SENT = {EVENTS, "table deliveries", "table attempts", TWILIO, "output of event", "output of attempts", "output of destination test"}

# Where each has to be found, and nowhere else. What a producer writes is his, and is kept as he wrote it; what is sent
# as a message, or fetched by Twilio without a login, is no secret before Twilio.
BELONGS = {
    "auth_token": {CONFIG, TWILIO},
    "auth_token of a third account": {CONFIG, TWILIO},
    "auth_token beside an API key": {CONFIG},
    "api_key_secret": {CONFIG, TWILIO},
    "content that isn't valid": set(),
    "proxy's password": {ENVIRONMENT, TWILIO},
    "database's password": {ENVIRONMENT},
    "database's password, as conninfo": set(),
    "PGPASSWORD": set(),
    "sasl.password": {ENVIRONMENT},
    "key in a wrong place": set(),
    "ssl.key.password": {ENVIRONMENT},
    "key in MMS_STATUS_CALLBACK_URL": {ENVIRONMENT, TWILIO},
    "key in status_callback": {CONFIG, TWILIO},
    "key in a media URL": SENT,
    "token in a wrong place": {CONFIG},
    "token in texts of its own row": {CONFIG, TWILIO},
    "token in an event": {CONFIG, "table rejected_events", "topic of dead letters", *SENT},
    # By hand, in SQL: PostgreSQL shows the beginning of a row that a check refuses.
    "token of a row that PostgreSQL complains of": {SERVER_LOG},
    # It was told to log parameters.
    "token that PostgreSQL logs": {CONFIG, SERVER_LOG},
    "token of a put that fails": set(),
}


class AsItIs:
    """How a secret gets into a destination's config: as it is."""

    belongs = {}  # {name: places}: instead of those in BELONGS

    def __init__(self, system):
        self.settings = {}
        self.variables = {}  # in the environment of all that runs
        self.files = {}  # {path: the place that it is}
        self.canaries = {}  # more of them

    def __call__(self, canary):
        """What stands in the config for it."""
        return canary.text

    def mistakes(self, world):
        """{id: config}, each wrong."""
        return mistakes(world)


class ByReference(AsItIs):
    """How a secret gets into a destination's config: by reference."""

    FORMS = {
        "auth_token": "sealed",
        "auth_token of a third account": "env",
        "auth_token beside an API key": "env",
        "api_key_secret": "file",
        "token in an event": "file",
        "token that PostgreSQL logs": "sealed",
    }
    FOUND = {"sealed": set(), "file": {FILES}, "env": {ENVIRONMENT}}
    belongs = {
        "content that isn't valid": {FILES, ENVIRONMENT},
        "token in a wrong place": set(),
        "token in texts of its own row": set(),
        "new key": {KEYS},
        "old key": {KEYS},
    }
    for _name, _form in FORMS.items():
        belongs[_name] = BELONGS[_name] - {CONFIG, SERVER_LOG} | FOUND[_form]

    def __init__(self, system):
        super().__init__(system)
        home = temp_dir("mms-canary-")
        self.system, self.directory, self.old_key = system, home / "secrets", home / "old"
        self.directory.mkdir()
        for name in ("new", "old"):
            system.command("secret", "key", home / name)
            self.files[home / name] = KEYS
            self.canaries[f"{name} key"] = Canary(f"{name} key", text=(home / name).read_text().strip())
        self.settings = {"secret_directories": str(self.directory), "secret_key_files": f"{home}/new,{home}/old"}

    def __call__(self, canary):
        return getattr(self, self.FORMS[canary.name])(canary.text)

    def mistakes(self, world):
        """What they lead to isn't valid; the other mistakes are the same."""
        text = world.text("content that isn't valid")
        sealed = self.sealed(text)
        texts = {
            "a file of two lines": self.file(f"{text}\n\n"),
            "a variable with a blank": self.env(f" {text}"),
            "sealed, and damaged": sealed[:-1] + ("A" if sealed[-1] != "A" else "Q"),
        }
        return {id: config(auth={"account_sid": MISTAKES_ACCOUNT, "auth_token": texts[id]}) for id in texts}

    def sealed(self, text):
        return self.system.command("secret", "seal", stdin=text, secret_key_files=str(self.old_key)).out.strip()

    def file(self, text):
        path = self.directory / f"{len(self.files)}"
        path.write_text(text)
        self.files[path] = FILES
        return f"file:{path}"

    def env(self, text):
        name = f"CANARY_{len(self.variables)}"
        self.variables[name] = text
        return f"env:{name}"


def to_of(n):
    return f"+1555777{n:04d}"


class World:
    """A system, a proxy that echoes, and what was written."""

    def __init__(self, system, proxy, canaries, give):
        self.system, self.proxy, self.canaries, self.give = system, proxy, canaries, give
        self.belongs = {**BELONGS, **give.belongs}
        self.places = {}
        self.lock = threading.Lock()
        self.callback_port = free_port()
        self.own_callback = f"http://127.0.0.1:{free_port()}/own?key={canaries['key in status_callback'].text}"

    def text(self, name):
        return self.canaries[name].text

    def token(self, name):
        return self.give(self.canaries[name])

    # ---- settings ----

    def settings(self, login="worker"):
        quoted = urllib.parse.quote(self.text("database's password"), safe="")
        return {
            "database_url": self.system.database_url(login).replace("@", f":{quoted}@"),
            "log_level": "debug",
            "kafka_debug": "all",
            "kafka_sasl_password": self.text("sasl.password"),
            "kafka_ssl_key_password": self.text("ssl.key.password"),
            "status_callback_url": f"http://127.0.0.1:{self.callback_port}/cb?key={self.text('key in MMS_STATUS_CALLBACK_URL')}",
            "reconcile_delay": "1s",
            "status_poll_delay": "1s",
            "retry_base": "10ms",
            "max_attempts": "1",
            **self.give.settings,
        }

    def variables(self):
        """Of whatever runs, beside its settings; the proxy is the one that echoes."""
        return {"http_proxy": self.proxy.url, **self.give.variables}

    def env(self, login="owner", **more):
        """Of a subcommand."""
        return {**self.system.env(**{**self.settings(login), **more}), **self.variables()}

    def start_worker(self):
        """With its variables, which leave no argument behind."""
        listen = f"127.0.0.1:{self.callback_port}"
        script = self.system.directory / "start"
        script.write_text(f'#!/bin/sh\nset -a\n. {script}.env\nexec "$@"\n')
        script.chmod(0o700)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.variables().items()]
        Path(f"{script}.env").write_text("".join(lines))
        worker = self.system.worker(under=[script], callback_listen=listen, **self.settings())
        worker.wait_ready()
        Path(f"{script}.env").unlink()
        return worker

    # ---- what is said ----

    def run(self, place, *words, stdin="", env=None, **more):
        """A subcommand; keeps all that it says."""
        done = subprocess.run(
            [BIN / "mms-worker", *words], env=env or self.env(login_of(words[0]), **more), input=stdin, capture_output=True, text=True,
            timeout=60, check=False,
        )
        assert done.returncode in (0, 1, 2, 3), (words, done.returncode, done.stderr)
        self.note(f"output of {place}", done.stdout + done.stderr)
        return done

    def note(self, place, what):
        """Something that was written to a place."""
        what = what.encode(errors="replace") if isinstance(what, str) else what
        with self.lock:
            self.places[place] = self.places.get(place, b"") + b"\n" + what

    def misplaced(self):
        """A line for each secret that is where it doesn't belong, and for each that isn't where it does."""
        lines = []
        for place, text in self.places.items():
            text = legible(text)
            for name, canary in self.canaries.items():
                found, belongs = canary.excerpt(text), place in self.belongs[name]
                if found and not belongs:
                    lines.append(f"{name} in {place}: {found}")
                if belongs and not found:
                    lines.append(f"{name} is not in {place}")
        return lines


@pytest.fixture(params=[AsItIs, ByReference], ids=lambda how: how.__doc__.rsplit(": ", 1)[1].rstrip("."))
def world(request, system):
    canaries = {name: Canary(name, **options) for name, options in NAMES.items()}
    database = system.database
    # Everything that the server can say about a statement, but the parameters.
    for setting in (
        "log_statement = 'all'", "log_duration = on", "log_parameter_max_length = 0", "log_parameter_max_length_on_error = 0",
        "session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0",
        "log_error_verbosity = 'verbose'", "track_activity_query_size = 102400",
    ):
        with contextlib.suppress(Exception):  # some can't be set for a database alone
            system.query(f"alter database {database} set {setting}")
    system.query("create extension if not exists pg_stat_statements")
    with EchoProxy("proxy-user", canaries["proxy's password"].text) as proxy:
        give = request.param(system)
        yield World(system, proxy, {**canaries, **give.canaries}, give)


# ---- what is done ----


def make_destinations(world):
    """One for each way of echoing and each account, one of which has an API key; and those of the other stories."""
    system = world.system
    own = {"account_sid": ACCOUNT, "auth_token": world.token("auth_token")}
    third = {"account_sid": THIRD_ACCOUNT, "auth_token": world.token("auth_token of a third account")}
    key = {
        "account_sid": KEY_ACCOUNT, "auth_token": world.token("auth_token beside an API key"),
        "api_key_sid": KEY, "api_key_secret": world.token("api_key_secret"),
    }
    system.sim.set_token(ACCOUNT, world.text("auth_token"))
    for mode in MODES:
        for auth, name in ((own, "token"), (key, "key"), (third, "third")):
            number = to_of(len(world.proxy.modes))
            system.destination(f"{name}, {mode}", to=number, auth=auth)
            world.proxy.modes[number] = mode
    system.destination("well", to=to_of(1000), auth=own, media_urls=["{{media_url}}"])
    world.proxy.failing.add(to_of(1000))
    system.destination("callback", to=to_of(1001), auth=own)
    system.destination("own callback", to=to_of(1002), auth=own, status_callback=world.own_callback)
    # Templates see the event alone.
    curious = "{{auth.auth_token}} {{config.auth.auth_token}} {{payload.auth}} {{auth}} {{password}} {{MMS_DATABASE_URL}}"
    system.destination("curious", to=to_of(1003), auth=own, body_template=f"said: {curious}")
    # Its producer knows the token, and writes it into events.
    mine = {"account_sid": "AC" + "2" * 32, "auth_token": world.token("token in an event")}
    system.destination("talkative", to=to_of(1004), auth=mine)


def mistakes(world):
    """Rows in which the token is where it doesn't belong, {id: config}."""
    stray, own = world.text("token in a wrong place"), {"account_sid": MISTAKES_ACCOUNT, "auth_token": "f" * 32}
    whole = lambda **changes: config(**{"to": to_of(2000), "auth": own, **changes})  # noqa: E731
    twice = world.text("token in texts of its own row")
    right = {"account_sid": MISTAKES_ACCOUNT, "auth_token": twice}
    return {
        "auth is the token": whole(auth=stray),
        "auth is a list": whole(auth=[MISTAKES_ACCOUNT, stray]),
        "a list": whole(auth={**own, "auth_token": [stray]}),
        "an object": whole(auth={**own, "auth_token": {"token": stray}}),
        "an object, the name": whole(auth={**own, "auth_token": {stray: True}}),
        "a line's end": whole(auth={**own, "auth_token": stray + "\n"}),
        "a blank": whole(auth={**own, "auth_token": " " + stray}),
        "too long": whole(auth={**own, "auth_token": stray * 9}),
        "env: and it": whole(auth={**own, "auth_token": f"env:{stray}"}),
        "file: and it": whole(auth={**own, "auth_token": f"file:{stray}"}),
        "sealed: and it": whole(auth={**own, "auth_token": f"sealed:v1:{stray}"}),
        "swapped": whole(auth={"account_sid": stray, "auth_token": MISTAKES_ACCOUNT}),
        "account and token": whole(auth={"account_sid": f"{MISTAKES_ACCOUNT}:{stray}", "auth_token": stray}),
        "API key": whole(auth={**own, "api_key_sid": stray, "api_key_secret": stray}),
        "unknown field of auth": whole(auth={**own, "token": stray}),
        "a field's name of auth": whole(auth={**own, stray: "token"}),
        "unknown field": whole(auth_token=stray),
        "a field's name": whole(**{stray: "auth_token"}),
        "to": whole(to=stray),
        "to, a token": whole(to="{{" + stray + "}}"),
        "from": whole(**{"from": stray}),
        "service": whole(messaging_service_sid=stray),
        "auth_type": whole(auth_type=stray),
        "overflow": whole(body_overflow=stray),
        "rate": whole(rate_limit=stray),
        "retention": whole(content_retention=stray),
        "template": whole(body_template="{{" + stray),
        "media, a login": whole(media_urls=[f"https://{stray}@media.example.com/owl.png"]),
        "media, a token": whole(media_urls=["{{" + stray + "}}"]),
        "callback, a login": whole(status_callback=f"https://user:{stray}@callbacks.example.com/"),
        "right, and in the body": whole(auth=right, body_template=f"{{{{nothing}}}}{twice}", to="{{payload.nothing}}"),
        "right, and in a URL": whole(auth=right, media_urls=[f"{OWL}?{twice}"], to="{{payload.nothing}}"),
    }


def make_mistakes(world):
    rows = world.give.mistakes(world)
    for id, whole in rows.items():
        world.system.query("insert into mms.destinations (id, config) values (%s, %s)", id, json.dumps(whole))
    return list(rows)


def send_events(world, wrong):
    system = world.system
    ids = [row["id"] for row in system.query("select id from mms.destinations")]
    media = f"{OWL}?X-Signature={world.text('key in a media URL')}"
    events = [system.event(f"e: {id}", id) for id in ids if id not in ("well", "talkative")]
    events.append({"event_id": "e: well", "destination_id": "well", "payload": {"message": "well", "media_url": media}})
    told = world.text("token in an event")
    events.append(system.event("e: talkative", "talkative", message=f"token {told}"))
    events.append(system.event("e: nobody", "nobody", message=f"token {told}"))
    system.produce(*events)
    system.produce('{"event_id": "e: broken", "payload": "' + told, key="k")
    rows = len(ids)
    until(lambda: system.value("select count(distinct (destination_id, delivery_id)) from mms.attempts") >= rows, 60, "attempts")
    # Whatever is left undecided by an echo is looked up, and the list is an echo again.
    until(lambda: world.proxy.lists > 20, 30, "lookups")
    assert set(MODES) <= set(world.proxy.echoed), "a mode was not tried"
    assert {row["destination_id"] for row in system.attempts() if row["reason"] == "CONFIG_INVALID"} <= set(wrong)


def report_statuses(world):
    """Twilio's words about messages: by callbacks, which it signs, and by polls, through the proxy."""
    system = world.system
    for entry in system.sim.messages(to=to_of(1001)):
        words = f"the carrier says: {world.text('auth_token')}"
        extra = {"Note": json.dumps(words), "Link": "https://e.example/?" + urllib.parse.quote(words)}
        system.sim.move(entry["sid"], "failed", error_code=30008, error_message=words, extra=extra)
    wanted = {"callback": "callback", "poll": "well"}
    said = "select 1 as one from mms.message_statuses where source = %s and destination_id = %s"
    for source, destination in wanted.items():
        until(lambda s=source, d=destination: system.query(said, s, d), 30, f"a status by {source}")


def look_at_pages(world, worker):
    for path in ("/metrics", "/readyz", "/healthz", "/nothing?" + world.text("token in a wrong place")):
        status, text = worker.get(path)
        world.note("pages", f"{status} {text}")
    world.run("probe", "probe", f"http://127.0.0.1:{worker.port}/readyz")
    for name in ("cmdline", "comm", "stat", "status", "limits", "maps"):
        world.note("what ps shows", Path(f"/proc/{worker.pid}/{name}").read_bytes())
    world.note(ENVIRONMENT, Path(f"/proc/{worker.pid}/environ").read_bytes())
    activity = world.system.query("select * from pg_stat_activity")
    statements = world.system.query("select query from pg_stat_statements")
    world.note("statistics of PostgreSQL", repr(activity) + repr(statements))


def ask_everything(world, wrong):
    """Every subcommand, for people and as JSON, about everything."""
    general = [
        ["attempts", "--limit", "1000"], ["check"], ["destination", "list"], ["top", "--once"], ["version"], ["help"],
        ["prune", "--older-than", "9d", "--dry-run"], ["replay", "--event", "e: well", "--outcome", "accepted", "--dry-run"],
        ["send", "--destination", "curious"], ["completion", "bash"], ["migrate"], ["run", "--help"],
    ]
    plain_only = (["version"], ["help"], ["completion", "bash"], ["migrate"], ["run", "--help"])
    for words in general:
        place = " ".join(words[:2]) if words[0] == "destination" else words[0]
        world.run(place, *words)
        if words not in plain_only:
            world.run(place, *words, "--json")
    calls = []
    for id in ("well", "own callback", "talkative", "token, message", "key, message", "third, message", *wrong):
        for form in ([], ["--json"]):
            calls.append(("event", "event", f"e: {id}", *form))
            calls += [(f"destination {verb}", "destination", verb, id, *form) for verb in ("show", "test")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda call: world.run(*call), calls))
    for id in wrong[:3]:
        world.run("check", "check", "--destination", id)


def seal(world):
    """What `secret` says of what it seals or can't seal, and of a key that changes."""
    secret = world.text("auth_token")
    for text in (secret, secret + "\n\n", secret * 9, f"env:{secret}"):
        world.run("secret seal", "secret", "seal", stdin=text)
    for words, some in ((["--plain", "--dry-run"], True), ([], True), (["--dry-run"], False)):
        done = world.run("secret rotate", "secret", "rotate", *words)
        assert bool(re.search(r"[1-9]\d* resealed", done.stdout)) == (some and bool(world.give.settings)), done.stdout


def put_badly(world):
    """What a person may type into `destination put` and `patch`; the token is in none of the answers."""
    secret = world.text("token of a put that fails")
    quoted = json.dumps(secret)
    row = lambda auth, id="x": json.dumps({"id": id, "config": config(auth=auth)})  # noqa: E731
    auth = {"account_sid": ACCOUNT, "auth_token": secret}
    for stdin in (
        row(auth)[:-2], row(auth).replace(quoted, secret), row(auth).replace(quoted, quoted[:-1] + '\\u0000"'),
        row(auth).replace(quoted, quoted[:-1] + '\n"'), row(auth).replace(quoted, quoted[:-1]), row(secret),
        row(auth, "i" * 300), row(auth, ""), row({**auth, "auth_token": {"a": secret}}), row(auth).replace('"id"', quoted),
        json.dumps(secret), json.dumps([secret]), secret, row({**auth, secret: 1}), row({**auth, "account_sid": secret}),
        json.dumps({"id": "x", "type": "TWILIO_SMS", "config": config(auth=auth)}),
        json.dumps({"id": "x", "config": config(auth=auth), "disabled_at": secret}),
        json.dumps({"id": "x", "config": config(auth=auth, max_price=1e400)}),
    ):
        done = world.run("destination put", "destination", "put", "-", stdin=stdin)
        assert done.returncode == 1, (stdin, done.stdout)
        if stdin != secret:  # which would be a file's name
            world.run("destination put", "destination", "put", stdin)
    for patch in ({"config": {"auth": {"auth_token": secret + "\n"}}}, {"config": {"auth": secret}}, {"auth_token": secret}):
        for words, stdin in (([json.dumps(patch)], ""), (["-"], json.dumps(patch))):
            done = world.run("destination patch", "destination", "patch", "well", *words, stdin=stdin)
            assert done.returncode in (1, 2), (words, done.stdout)


def set_badly(world):
    """Settings that are wrong, or servers that aren't there: the line about it has no password in it."""
    conninfo, pg = world.text("database's password, as conninfo"), world.text("PGPASSWORD")
    quoted = "'" + conninfo.replace("\\", "\\\\").replace("'", "\\'") + "'"
    port = free_port()
    for url in (
        f"host=127.0.0.1 port={port} user=me password={quoted}", f"host=127.0.0.1 port={port} password={quoted} nonsense",
        f"host=127.0.0.1 password={conninfo}' x", f"postgresql://me:{conninfo}@127.0.0.1:{port}/x",
        f"postgresql://me:{urllib.parse.quote(conninfo, safe='')}@127.0.0.1:{port}/x?sslmode={pg}",
        f"postgresql://127.0.0.1:{port}/x?password={urllib.parse.quote(conninfo, safe='')}&nonsense=1",
    ):
        for words in (["destination", "list"], ["check", "--timeout", "2s"]):
            world.run("a command without a database", *words, database_url=url)
    env = {**world.env(), "PGPASSWORD": pg, "PGPORT": str(port), "PGHOST": "127.0.0.1"}
    del env["MMS_DATABASE_URL"]
    world.run("a command without a database", "destination", "list", env=env)
    sasl, key = world.text("sasl.password"), world.text("key in MMS_STATUS_CALLBACK_URL")
    for wrong in (
        {"kafka_sasl_pasword": sasl}, {"kafka_ssl_key_pem": sasl, "kafka_security_protocol": "ssl"},
        {"status_callback_url": f"ftp://callbacks.example.com/?key={key}"}, {"status_callback_url": f"http://under_score/?{key}"},
        {"status_callback_url": f"https://me:{key}@callbacks.example.com/"}, {"callback_listen": "nowhere"},
        {"twilio_base_url": f"https://{key}@api.twilio.com"}, {"twilio_base_url": f"https://api.twilio.com/?key={key}"},
        {"lease": "nonsense"}, {"secret_key_files": world.text("key in a wrong place")},
        *[{"secret_key_files": str(path)} for path, place in world.give.files.items() if place == FILES],
    ):
        done = world.run("a run with wrong settings", "run", **wrong)
        assert done.returncode in (1, 2), wrong


def trouble_postgresql(world):
    """What PostgreSQL writes itself: a row that is refused, and parameters, if it is told to."""
    whole = config(auth={"account_sid": ACCOUNT, "auth_token": world.text("token of a row that PostgreSQL complains of")})
    with pytest.raises(Exception, match="violates check"):
        few = json.dumps({name: whole[name] for name in ("auth", "to")})
        world.system.query("insert into mms.destinations (id, config) values ('', '" + few.replace("'", "''") + "')")
    row = {"id": "logged", "config": config(auth={"account_sid": ACCOUNT, "auth_token": world.token("token that PostgreSQL logs")})}
    env = {**world.env(), "PGOPTIONS": "-c log_parameter_max_length=-1"}
    done = world.run("destination put", "destination", "put", "-", stdin=json.dumps(row), env=env)
    assert done.returncode == 0, done.stderr


# ---- what is left of it ----


def dump_tables(world):
    """Every table as text; the destinations' config is a place of its own."""
    system = world.system
    dump = subprocess.run(
        [system.postgres._bin / "pg_dump", "--data-only", "--dbname", system.postgres.url(system.database)],
        env=clean_env(), capture_output=True, check=True, timeout=60,
    ).stdout
    for name, rows in re.findall(rb"^COPY mms\.(\w+) .*?;\n(.*?)^\\\.$", dump, re.MULTILINE | re.DOTALL):
        if name != b"destinations":
            world.note(f"table {name.decode()}", rows)
    for row in system.query("select * from mms.destinations"):
        world.note(CONFIG, json.dumps(row.pop("config")))
        world.note("table destinations, but its config", repr(row))


def read_topics(world):
    system = world.system
    names = {EVENTS: system.events_topic, "topic of results": system.results_topic, "topic of dead letters": system.dead_letters_topic}
    for place, topic in names.items():
        for record in system.kafka.consume(topic):
            world.note(place, (record.key or b"") + b" " + (record.value or b"") + repr(record.headers).encode())


def gather(world, log_start):
    system = world.system
    dump_tables(world)
    read_topics(world)
    with open(system.postgres.dir / "postgres.log", "rb") as log:
        log.seek(log_start)
        # Statements and plans come again and again, at another time.
        lines = dict.fromkeys(re.sub(rb"^\S+ \S+ UTC \[\d+\] ", b"", line) for line in log.read().splitlines())
        world.note(SERVER_LOG, b"\n".join(lines))
    for path in system.directory.rglob("*"):
        if path.is_file():
            world.note("log of the worker" if path.name.startswith("worker") else "other files", path.read_bytes())
    for path, place in world.give.files.items():
        world.note(place, path.read_bytes())
    world.note(TWILIO, b"\n".join(world.proxy.received))


@pytest.mark.timeout(240)
def test_canaries_are_found_where_they_belong_only(world):
    """Every secret, through every fault, in every output, table, topic, page and log, however it is spelt there."""
    system = world.system
    log_start = (system.postgres.dir / "postgres.log").stat().st_size
    make_destinations(world)
    wrong = make_mistakes(world)
    worker = world.start_worker()
    send_events(world, wrong)
    report_statuses(world)
    look_at_pages(world, worker)
    ask_everything(world, wrong)
    seal(world)
    put_badly(world)
    set_badly(world)
    trouble_postgresql(world)
    look_at_pages(world, worker)
    assert worker.stop() == 0
    gather(world, log_start)
    # The search finds what was echoed, in whatever spelling: nothing was masked yet on the way to the worker.
    for mode, answer in world.proxy.echoed.items():
        assert any(canary.is_in(legible(answer)) for canary in world.canaries.values()), f"the search doesn't see: {mode}"
    # What was echoed did come in, and was kept without the secrets.
    assert b"***" in world.places["table attempts"] and b"***" in world.places["table message_statuses"]
    misplaced = world.misplaced()
    assert not misplaced, "\n".join(misplaced)


def crash(system, directory, **settings):
    """A worker that has read a token, whose limits allow core files of any size, crashes. What it leaves behind."""
    directory.mkdir()
    under = ["prlimit", "--core=unlimited:unlimited", "env", "-C", directory]
    worker = system.worker(under=under, log_level="debug", consumer_group=f"g-{directory}".replace("/", "-")[-99:], **settings).wait_ready()
    system.produce(system.event(f"e: {directory.name}", "d"))
    until(lambda: system.attempts(f"e: {directory.name}"), 20, "an attempt")
    worker.send_signal(signal.SIGABRT)
    assert worker.wait() == -signal.SIGABRT
    system.workers.remove(worker)
    return [path.read_bytes() for path in directory.iterdir()]


@pytest.mark.skipif(SANITIZED, reason="LeakSanitizer needs what a core dump needs")
def test_a_crash_leaves_no_core_file(system):
    """Whatever the limit is, unless a developer asks for it: then the token is in it, and this test knows to look for it."""
    token = Canary("auth_token")
    system.destination("d", auth={"account_sid": ACCOUNT, "auth_token": token.text})
    assert crash(system, system.directory / "without") == []
    left = crash(system, system.directory / "with", core_dumps="true")
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"core files go elsewhere on this machine: {pattern}")
    assert len(left) == 1 and token.is_in(legible(left[0]))


_LOOK = """
import sys
for name in ("environ", "mem", "maps"):
    try:
        open(f"/proc/{sys.argv[1]}/{name}", "rb").close()
        print(name)
    except PermissionError:
        pass
"""


@pytest.mark.skipif(SANITIZED, reason="LeakSanitizer needs what a debugger needs")
@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_others_of_its_user_cannot_look_into_it(system):
    """A worker that isn't root's: another process of its user gets neither its environment nor its memory; its metrics work."""
    nobody = pwd.getpwnam("nobody")
    home = temp_dir("mms-canary-")
    home.chmod(0o755)
    program = shutil.copy(BIN / "mms-worker", home)
    under = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    seen = {}
    for allowed in ("false", "true"):
        log = system.directory / f"worker-nobody-{allowed}.log"
        env = system.env(core_dumps=allowed)
        worker = Worker(env, log, [*under, "sh", "-c", f"exec {program} run"])
        system.workers.append(worker)
        worker.wait_ready()
        done = subprocess.run([*under, "/usr/bin/python3", "-c", _LOOK, str(worker.pid)], capture_output=True, text=True, check=True, cwd="/")
        seen[allowed] = done.stdout.split()
        assert worker.metric("process_open_fds") > 10 and worker.metric("process_resident_memory_bytes") > 1 << 20
        assert worker.stop() == 0
    assert seen == {"false": [], "true": ["environ", "mem", "maps"]}
