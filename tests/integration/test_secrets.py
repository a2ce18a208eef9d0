"""Secrets that stand somewhere else than in the table: env:, file:, sealed:; keys and their rotation; wiped memory."""

import base64
import json
import os
import subprocess
import threading

import jsonschema
import pytest
import requests
from test_statuses import receiver, statuses
from twilio.request_validator import RequestValidator

from harness import BIN, ROOT, memory
from harness.postgres import find_bin
from harness.process import clean_env
from harness.system import ACCOUNT, config
from harness.wait import until, until_equal

pytestmark = pytest.mark.timeout(120)

API_KEY = "SK" + "0123456789abcdef" * 2
DESCRIPTION = json.loads((ROOT / "schemas" / "destination.schema.json").read_text())


def token(name):
    return f"canary-{name}-5d41402abc4b2a76"


def account(number):
    return f"AC{number:032d}"


class Vault:
    """A directory with secrets, and keys outside of it."""

    def __init__(self, system, path):
        self.system = system
        self.directory = path / "secrets"
        self.directory.mkdir()
        self.keys = path / "keys"
        self.keys.mkdir()

    def settings(self, *keys):
        """A worker's settings; the keys are made when they are first named."""
        for key in keys:
            if not (self.keys / key).exists():
                assert self.system.command("secret", "key", self.keys / key).status == 0
        files = ",".join(str(self.keys / key) for key in keys)
        return {"secret_directories": str(self.directory), **({"secret_key_files": files} if files else {})}

    def seal(self, secret, *keys):
        done = self.system.command("secret", "seal", stdin=secret, **self.settings(*keys))
        assert (done.status, done.err) == (0, "")
        return done.out.strip()

    def file(self, name, text):
        (self.directory / name).write_text(text)
        return f"file:{self.directory}/{name}"


@pytest.fixture
def vault(system, tmp_path):
    return Vault(system, tmp_path)


def send(system, *destinations, prefix="e"):
    system.produce(*[system.event(f"{prefix}-{d}", d) for d in destinations])


def with_env(**variables):
    """What a worker's `under` has to be for these to be in its environment."""
    return ["env", *[f"{name}={value}" for name, value in variables.items()]]


# ---- sending ----


def test_each_form_sends_and_a_dump_holds_none(system, vault):
    """Twilio takes each, and nothing else for these accounts; what the database holds, as pg_dump writes it, has no secret."""
    forms = {
        "env": "env:TWILIO_TOKEN",
        "file": vault.file("token", token("file") + "\n"),
        "sealed": vault.seal(token("sealed"), "key"),
    }
    for number, (name, text) in enumerate(forms.items()):
        system.sim.set_token(account(number), token(name))
        auth = {"account_sid": account(number), "auth_token": text}
        jsonschema.validate(config(auth=auth), DESCRIPTION)
        system.destination(name, to=f"+1555777000{number}", auth=auth)
    key = {"api_key_sid": API_KEY, "api_key_secret": vault.seal(token("secret"), "key")}
    system.sim.set_token(account(9), token("secret"))
    system.destination("key", to="+15557770009", auth={"account_sid": account(9), "auth_token": forms["sealed"], **key})
    system.worker(under=with_env(TWILIO_TOKEN=token("env")), log_level="debug", **vault.settings("key")).wait_ready()
    send(system, *forms, "key")
    system.wait_states(accepted=4)
    system.results(4)
    assert [row["attempt"] for row in system.attempts()] == [1] * 4
    dump = subprocess.run(
        [find_bin() / "pg_dump", "-d", system.postgres.url(system.database)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert forms["sealed"] in dump and "env:TWILIO_TOKEN" in dump and "file:" in dump
    for name in [*forms, "secret"]:
        assert token(name) not in dump and token(name) not in system.workers[0].log_text(), name


def test_a_short_secret_is_warned_of_wherever_it_is(system, vault):
    """Once for each change, by a worker and by the commands, and without the secret; a file may change without its row."""
    short = {"env": "tok3n-1", "file": "tok3n-2", "sealed": "tok3n-3", "plain": "tok3n-4"}
    forms = {
        "env": "env:TWILIO_TOKEN", "file": vault.file("token", short["file"]), "sealed": vault.seal(short["sealed"], "key"),
        "plain": short["plain"],
    }  # fmt: skip
    warning = "config.auth: a secret of less than 8 characters is none of Twilio's, and is not masked in what it answers"
    env = with_env(TWILIO_TOKEN=short["env"])
    for number, (name, text) in enumerate(forms.items()):
        system.sim.set_token(account(number), short[name])
        row = {"id": name, "config": config(to=f"+1555777000{number}", auth={"account_sid": account(number), "auth_token": text})}
        done = system.command("destination", "put", "-", stdin=json.dumps(row), under=env, **vault.settings("key"))
        assert (done.status, done.err) == (0, f"mms-worker destination put: warning: {warning}\n"), name
        assert f"note                  {warning}\n" in system.command("destination", "test", name, under=env, **vault.settings("key")).out
    checked = system.command("check", under=env, **vault.settings("key")).out
    assert all(f"{name}: {warning}" in checked for name in forms) and "tok3n" not in checked
    worker = system.worker(under=env, **vault.settings("key")).wait_ready()

    def warned():
        return sorted(line["destination_id"] for line in worker.log_lines("destination") if line["warning"] == warning)

    send(system, *forms, prefix="e1")
    send(system, *forms, prefix="e2")
    system.wait_states(accepted=8)
    assert warned() == sorted(forms)
    system.query("update mms.destinations set name = 'other' where id = 'sealed'")
    send(system, "sealed", prefix="e3")
    system.wait_states(accepted=9)
    assert warned() == sorted([*forms, "sealed"])
    # Beside what is said of its row already.
    system.sim.set_token(account(5), token("late"))
    auth = {"account_sid": account(5), "auth_token": vault.file("late", token("late"))}
    system.destination("late", to="+15557770005", max_price=0.5, auth=auth)
    send(system, "late", prefix="e4")
    system.wait_states(accepted=10)
    system.sim.set_token(account(5), "tok3n-5")
    vault.file("late", "tok3n-5")
    send(system, "late", prefix="e5")
    system.wait_states(accepted=11)
    said = [line["warning"] for line in worker.log_lines("destination") if line["destination_id"] == "late"]
    assert said[0].startswith("config.max_price") and said[1:] == [f"{said[0]}; {warning}"]
    assert "tok3n" not in worker.log_text()


def test_what_is_not_there_parks_and_flows_once_it_is(system, vault):
    """CONFIG_INVALID with the field and where it should be; nothing is spent; a file counts when it is there."""
    path = f"file:{vault.directory}/late"
    system.destination("d_env", to="+15557770001", auth={"account_sid": ACCOUNT, "auth_token": "env:TWILIO_TOKEN"})
    system.destination("d_file", to="+15557770002", auth={"account_sid": ACCOUNT, "auth_token": path})
    system.destination("d_key", to="+15557770003", auth={"account_sid": ACCOUNT, "auth_token": vault.seal(token("sealed"), "new")})
    worker = system.worker(**vault.settings("old")).wait_ready()
    send(system, "d_env", "d_file", "d_key")
    until_equal(lambda: {row["destination_id"] for row in system.attempts()}, {"d_env", "d_file", "d_key"}, 20, "the attempts")
    wanted = {
        "d_env": "config.auth.auth_token: env:TWILIO_TOKEN: not set, expected it in the environment of whoever uses it",
        "d_file": f"config.auth.auth_token: {path}: No such file or directory, expected a file with the secret",
        "d_key": "expected that key among MMS_SECRET_KEY_FILES",
    }
    for row in system.attempts():
        assert (row["outcome"], row["reason"], row["request"]) == ("retry", "CONFIG_INVALID", None)
        assert wanted[row["destination_id"]] in row["error_message"]
    assert system.sim.posts() == []
    vault.file("late", token("file"))
    assert system.command("destination", "enable", "d_file").status == 0
    system.wait_states(accepted=1, pending=2)
    assert worker.stop() == 0
    system.worker(under=with_env(TWILIO_TOKEN=token("env")), **vault.settings("old", "new")).wait_ready()
    for name in ("d_env", "d_key"):
        assert system.command("destination", "enable", name).status == 0
    system.wait_states(accepted=3)


# ---- rotation ----


def test_rotation_beside_a_worker(system, vault):
    """While events flow: all are sent, once; afterwards the old key is needed no more."""
    destinations = [f"d{n}" for n in range(6)]
    old = vault.seal(token("sealed"), "old")
    plain = {"account_sid": ACCOUNT, "auth_token": token("sealed")}
    system.sim.set_token(ACCOUNT, token("sealed"))
    for n, name in enumerate(destinations):
        system.destination(name, to=f"+1555777000{n}", auth={**plain, "auth_token": old} if n else plain)
    system.worker(**vault.settings("new", "old")).wait_ready()
    for n in range(4):
        send(system, *destinations, prefix=f"e{n}")
    until(lambda: system.states().get("accepted", 0) >= 6, 20, "the first sends")
    both = vault.settings("new", "old")
    assert system.command("secret", "rotate", "--dry-run", **both).out == "would be: 5 resealed, 0 sealed\n"
    assert system.command("secret", "rotate", **both).out == "5 resealed, 0 sealed\n"
    assert system.command("secret", "rotate", **both).out == "0 resealed, 0 sealed\n"
    assert system.command("secret", "rotate", "--plain", **both).out == "0 resealed, 1 sealed\n"
    texts = {row["t"] for row in system.query("select config -> 'auth' ->> 'auth_token' as t from mms.destinations")}
    assert texts == {vault.seal(token("sealed"), "new")} and old not in texts
    system.wait_states(accepted=24)
    assert len(system.sim.messages()) == 24 and {row["outcome"] for row in system.attempts()} == {"accepted"}
    system.worker(**vault.settings("new")).wait_ready()
    system.workers[0].stop()
    send(system, *destinations, prefix="after")
    system.wait_states(accepted=30)


def test_rotation_leaves_alone_what_it_should(system, vault):
    """What somebody changes meanwhile is theirs; what can't be opened is named; other fields stay."""
    lost = vault.seal(token("lost"), "lost")
    texts = {"d1": vault.seal("one", "old"), "d2": lost, "d3": "env:TOKEN", "d4": "file:/run/secrets/x", "d5": "plain-token"}
    for name, text in texts.items():
        system.destination(name, auth={"account_sid": ACCOUNT, "auth_token": text})
    both = vault.settings("new", "old")
    with system.postgres.connect(system.database) as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("update mms.destinations set config = jsonb_set(config, '{auth,auth_token}', '\"theirs\"') where id = 'd1'")
        done = []
        thread = threading.Thread(target=lambda: done.append(system.command("secret", "rotate", **both)))
        thread.start()
        waiting = "select 1 from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
        until(lambda: system.query(waiting, system.database), 10, "the rotation to wait for the row")
        other.commit()
        thread.join()
    other.close()
    assert done[0].status == 1
    assert done[0].out == "0 resealed, 0 sealed, 1 changed by somebody meanwhile (run it again), 1 can't be opened\n"
    assert done[0].err.startswith("mms-worker secret rotate: d2: config.auth.auth_token: sealed with key ")
    rows = {row["id"]: row["t"] for row in system.query("select id, config -> 'auth' ->> 'auth_token' as t from mms.destinations")}
    assert rows == {**texts, "d1": "theirs"}
    again = system.command("secret", "rotate", "--plain", **both)
    assert again.out == "0 resealed, 2 sealed, 1 can't be opened\n" and "plain-token" not in again.out + again.err
    assert system.value("select config - 'auth' from mms.destinations where id = 'd5'") == {
        name: value for name, value in config().items() if name != "auth"
    }


def test_rotation_goes_on_past_what_has_no_room(system, vault):
    """Settings just below their limit, which a sealed text would exceed: a line says so, and the others are sealed."""
    for name in "abc":
        key = {"api_key_sid": API_KEY, "api_key_secret": token("key")} if name == "b" else {}
        system.destination(name, auth={"account_sid": ACCOUNT, "auth_token": token(name), **key})
    system.query(
        "update mms.destinations set config = config || jsonb_build_object('body_template',"
        " rpad('', 65536 - octet_length((config || jsonb_build_object('body_template', ''))::text), 'x')) where id = 'b'"
    )
    assert system.value("select octet_length(config::text) from mms.destinations where id = 'b'") == 65536
    for sealed in (2, 0):
        done = system.command("secret", "rotate", "--plain", **vault.settings("key"))
        assert (done.status, done.out) == (1, f"0 resealed, {sealed} sealed, 2 too large when sealed\n")
        assert done.err.splitlines() == [
            f"mms-worker secret rotate: b: config.auth.{field}: left as it is: sealed it would make the settings larger than"
            " 65536 bytes; shorten them (body_template), then run it again"
            for field in ("auth_token", "api_key_secret")
        ]
    texts = {row["id"]: row["t"] for row in system.query("select id, config -> 'auth' ->> 'auth_token' as t from mms.destinations")}
    assert texts == {**{name: vault.seal(token(name), "key") for name in "ac"}, "b": token("b")}


# ---- callbacks ----


def call_back(url, secret, status, sid, account_sid=ACCOUNT):
    form = {"AccountSid": account_sid, "MessageSid": sid, "MessageStatus": status, "From": "+15550001111", "To": "+15557770000"}
    signature = RequestValidator(secret).compute_signature(url, form)
    return requests.post(url, form, headers={"X-Twilio-Signature": signature}, timeout=10).status_code


def test_callbacks_are_believed_in_every_form(system, vault):
    """
    What Twilio signed with the token counts, whatever form the row has it in, also if it was sealed with another key a moment
    ago. What somebody signed with a token of his own counts for his own messages alone, in whatever form he wrote it.
    """
    shared = token("shared")
    forms = {
        "env": "env:TWILIO_TOKEN",
        "file": vault.file("token", shared),
        "sealed": vault.seal(shared, "new"),
        "old": vault.seal(shared, "old"),
        "plain": shared,
    }
    for n, (name, text) in enumerate(forms.items()):
        system.destination(name, to=f"+1555777000{n}", auth={"account_sid": ACCOUNT, "auth_token": text})
    own = token("their-own")
    system.destination("theirs", to="+15557770009", auth={"account_sid": ACCOUNT, "auth_token": vault.seal(own, "new")})
    system.destination("theirs2", to="+15557770008", auth={"account_sid": ACCOUNT, "auth_token": vault.file("own", "another-own")})
    os.environ["TWILIO_TOKEN"] = shared
    try:
        receiver(system, **vault.settings("new", "old"))
    finally:
        del os.environ["TWILIO_TOKEN"]
    send(system, *forms)
    system.wait_states(accepted=5)
    attempts = {row["destination_id"]: row for row in system.attempts()}
    urls = {name: attempts[name]["request"]["parameters"]["StatusCallback"] for name in forms}
    for name in forms:
        for forger in (own, "another-own"):
            assert call_back(urls[name], forger, "failed", attempts[name]["message_sid"]) == 204, name
        assert call_back(urls[name], "nobodys", "failed", attempts[name]["message_sid"]) == 403, name
    # Nobody has looked at this row since.
    system.query("update mms.destinations set config = jsonb_set(config, '{auth,auth_token}', to_jsonb(%s::text)) where id = 'old'",
                 forms["sealed"])
    for name in forms:
        assert call_back(urls[name], shared, "delivered", attempts[name]["message_sid"]) == 204, name
    for name in forms:
        until_equal(lambda: statuses(system, f"e-{name}"), [("delivered", True)], 10, f"the status of {name}")


def test_a_file_that_is_replaced_counts_at_once(system, vault):
    """The next send has the new token; then callbacks signed with the old one count no more."""
    path = vault.file("token", token("first"))
    system.destination("d", auth={"account_sid": ACCOUNT, "auth_token": path})
    system.destination("other", to="+15557770001", auth={"account_sid": ACCOUNT, "auth_token": token("first")})
    receiver(system, **vault.settings())
    for n, name in enumerate(("first", "second"), 1):
        vault.file("token", token(name))
        system.sim.set_token(ACCOUNT, token(name))
        send(system, "d", prefix=f"e{n}")
        system.wait_states(accepted=n)
    assert {row["attempt"] for row in system.attempts()} == {1}
    row = system.attempts("e2-d")[0]
    url = row["request"]["parameters"]["StatusCallback"]
    assert call_back(url, token("first"), "failed", row["message_sid"]) == 204, "it is the other destination's, and ignored"
    assert call_back(url, token("second"), "delivered", row["message_sid"]) == 204
    until_equal(lambda: statuses(system, "e2-d"), [("delivered", True)], 10, "the status")


# ---- which files ----


def test_which_files_may_be_read(system, vault, tmp_path):
    """Only regular files below the directories, whatever links lead to; Kubernetes' own links work. Nothing is waited for."""
    outside = tmp_path / "outside"
    outside.write_text(token("outside"))
    (vault.directory / "..2026").mkdir()
    (vault.directory / "..2026" / "token").write_text(token("good"))
    (vault.directory / "..data").symlink_to("..2026")
    (vault.directory / "linked").symlink_to("..data/token")
    (vault.directory / "out").symlink_to(outside)
    (vault.directory / "up").symlink_to("..")
    os.mkfifo(vault.directory / "fifo")
    settings = vault.settings("key")
    (vault.directory / "key").hardlink_to(vault.keys / "key")
    inside = vault.directory
    cases = {
        f"{inside}/linked": None,
        f"{inside}/..data/token": None,
        vault.file("newline", token("good") + "\n")[5:]: None,
        vault.file("newlines", token("good") + "\n\n")[5:]: "what is there is not valid",
        vault.file("empty", "")[5:]: "what is there is not valid",
        vault.file("nested", "env:HOME")[5:]: "what is there is not valid",
        vault.file("zero", "a\0b")[5:]: "not a text",
        vault.file("long", "x" * 1025)[5:]: "longer than 1 KiB",
        f"{inside}/out": "a link that leads out",
        f"{inside}/up/outside": "a link that leads out",
        f"{inside}/fifo": "not a regular file",
        f"{inside}/..data": "not a regular file",
        f"{inside}/missing": "No such file",
        f"{inside}/key": "one of MMS_SECRET_KEY_FILES",
        f"{inside}2/x": "not below a directory",
        f"{inside}": "not below a directory",
        "/etc/shadow": "not below a directory",
        "/no/such/thing": "not below a directory",
    }
    for path, why in cases.items():
        system.destination("d", auth={"account_sid": ACCOUNT, "auth_token": f"file:{path}"})
        done = system.command("destination", "test", "d", timeout=20, **settings)
        assert "canary" not in done.out + done.err
        if why is None:
            assert done.status == 0, (path, done)
        else:
            assert done.status == 1 and f"CONFIG_INVALID: config.auth.auth_token: file:{path}: {why}" in done.err, (path, done)


# ---- commands ----


def test_keys_and_sealing(system, vault):
    """A key file is its owner's alone and never overwritten; what can't be sealed is one line."""
    settings = vault.settings("key")
    path = vault.keys / "key"
    assert path.stat().st_mode & 0o777 == 0o600 and len(path.read_text()) == 45
    again = system.command("secret", "key", path)
    assert again.status == 1 and "File exists" in again.err
    printed = system.command("secret", "key").out
    assert len(printed) == 45 and printed != path.read_text()
    assert vault.seal(token("a"), "key") == vault.seal(token("a") + "\n", "key") != vault.seal(token("b"), "key")
    (vault.keys / "hex").write_text(base64.b64decode(path.read_text()).hex())
    assert vault.seal(token("a"), "hex") == vault.seal(token("a"), "key")
    for text in ["", "\n", "a b", "a\nb", "x" * 256, "env:TOKEN", vault.seal("x", "key")]:
        done = system.command("secret", "seal", stdin=text, **settings)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1), text
    done = system.command("secret", "seal", stdin="x")
    assert done.status == 2 and "MMS_SECRET_KEY_FILES: not set" in done.err


def test_wrong_settings_end_it_at_start(system, vault):
    """Status 2 and one line, whoever needs them; a key that everybody may read is a warning."""
    vault.settings("key")
    path = vault.keys / "key"
    path.chmod(0o620)
    for words in (["run"], ["secret", "rotate"], ["destination", "test", "d"], ["destination", "put", "-"]):
        done = system.command(*words, secret_key_files=str(path))
        assert done.status == 2 and done.out == "" and done.err.count("\n") == 1, (words, done)
        assert done.err.startswith(f"mms-worker: MMS_SECRET_KEY_FILES: '{path}': may be written by others")
    failed = system.command("check", secret_key_files=str(path))
    assert failed.status == 1 and "MMS_SECRET_KEY_FILES" in failed.out
    path.chmod(0o444)
    worker = system.worker(**vault.settings("key")).wait_ready()
    assert [line for line in worker.log_lines() if line["level"] == "warn" and "everybody on this machine" in line["message"]]


def test_references_are_shown_and_kept(system, vault):
    """show, put and patch have them as they are; where they lead is judged here with a warning only."""
    settings = vault.settings("key")
    sealed = vault.seal(token("sealed"), "key")
    row = {"id": "d", "config": config(auth={"account_sid": ACCOUNT, "auth_token": sealed})}
    done = system.command("destination", "put", "-", stdin=json.dumps(row), **settings)
    assert (done.status, done.out, done.err) == (0, "created d\n", "")
    shown = system.command("destination", "show", "d", "--json")
    assert json.loads(shown.out)["config"]["auth"] == {"account_sid": ACCOUNT, "auth_token": sealed}
    assert system.command("destination", "put", "-", stdin=shown.out, **settings).out == "unchanged d\n"
    patch = json.dumps({"config": {"auth": {"auth_token": "env:NOT_SET_HERE"}}})
    done = system.command("destination", "patch", "d", patch)
    assert (done.status, done.out) == (0, "patched d: config.auth.auth_token\n")
    assert done.err == (
        "mms-worker destination patch: warning: config.auth.auth_token: env:NOT_SET_HERE: not set, expected it in the "
        "environment of whoever uses it (here)\n"
    )
    done = system.command("destination", "put", "-", stdin=json.dumps(row))
    assert done.out.startswith("replaced d") and "expected that key among MMS_SECRET_KEY_FILES (here)" in done.err
    wrong = system.command("destination", "patch", "d", json.dumps({"config": {"auth": {"auth_token": "env:PGPASSWORD"}}}))
    assert wrong.status == 2 and "a secret on a command line" in wrong.err
    system.query("update mms.destinations set config = jsonb_set(config, '{auth,auth_token}', '\"env:NOT_SET_HERE\"')")
    done = system.command("check")
    assert done.status == 1 and "d: config.auth.auth_token: env:NOT_SET_HERE: not set" in done.out


# ---- memory ----


@pytest.mark.skipif(b"__asan_init" in (BIN / "mms-worker").read_bytes(), reason="AddressSanitizer keeps what was freed")
def test_memory_that_held_a_secret_is_wiped(system, vault):
    """
    A worker at rest has no copy of a secret in its memory, as it is or as Basic auth has it. Of one that stands in the row
    libpq keeps what it last received, until something else comes: that is what references are for.
    """
    texts = {"plain": token("plain"), "file": vault.file("token", token("file")), "sealed": vault.seal(token("sealed"), "key")}
    many = {name: [f"{name}-{n}" for n in range(20)] for name in texts}
    for name, destinations in many.items():
        for n, destination in enumerate(destinations):
            system.destination(destination, to=f"+155577700{n:02}", auth={"account_sid": ACCOUNT, "auth_token": texts[name]})
    worker = system.worker(**vault.settings("key")).wait_ready()

    def copies(name):
        basic = base64.b64encode(f"{ACCOUNT}:{token(name)}".encode())
        found = memory.find(worker.pid, token(name).encode()) + memory.find(worker.pid, basic[-40:-4])
        return [around for _, around in found]

    def unexpected(name):
        received = b'"auth_token": "' + token(name).encode()
        return [copy for copy in copies(name) if name != "plain" or received not in copy]

    # Many at once, so that not all of their memory is used again by what follows.
    for n, name in enumerate(texts, 1):
        send(system, *many[name])
        system.wait_states(accepted=20 * n)
        system.results(20 * n)
        until_equal(lambda: unexpected(name), [], 5, f"copies of {name}")
    assert len(copies("plain")) <= 20, "what one connection received last"
    assert memory.find(worker.pid, b"mms-worker intake"), "the search finds what is there"
