"""Twilio over TLS: nothing is sent to whoever can't prove to be Twilio, and everything once they can."""

import contextlib
import datetime
import json
import re
import socket
import subprocess
import threading

import pytest

from harness import BIN, SANITIZED
from harness.certificates import Authority
from harness.tls_front import TlsFront
from harness.wait import until, until_equal

SOON = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(files):
    return Authority(files)


@pytest.fixture(scope="module")
def stranger(files):
    """An authority that the worker doesn't know."""
    return Authority(files, "stranger")


# What answers in Twilio's place: how it is made, reason in the evidence, and what the words say.
LIARS = [
    ("unknown authority", lambda f, a, s: f.use(s.issue()), "CERTIFICATE_REFUSED", "certificate problem: unable to get local issuer"),
    ("wrong name", lambda f, a, s: f.use(a.issue(hosts=["api.twilio.com"])), "CERTIFICATE_REFUSED", "certificate subject name"),
    ("expired", lambda f, a, s: f.use(a.issue(ends=-SOON)), "CERTIFICATE_REFUSED", "certificate has expired"),
    ("not yet valid", lambda f, a, s: f.use(a.issue(begins=SOON)), "CERTIFICATE_REFUSED", "certificate is not yet valid"),
    ("old TLS", lambda f, a, s: f.use(a.issue(), ancient=True), "NOT_CONNECTED", "unsupported protocol|protocol version"),
    ("plain http", lambda f, a, s: f.speak_plainly(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), "NOT_CONNECTED", "wrong version number"),
    ("cut in the handshake", lambda f, a, s: f.speak_plainly(b""), "NOT_CONNECTED", "SSL_connect|Recv failure|unexpected eof"),
]


class Tunnel:
    """A proxy that does nothing but CONNECT. count: how often it was asked."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near):
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += near.recv(1)
        host, port = asked.split()[1].decode().split(":")
        assert asked.startswith(b"CONNECT ") and b"Authorization" not in asked
        with contextlib.suppress(OSError), near, socket.create_connection((host, int(port))) as far:
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            TlsFront.pass_on(near, far)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def twilio_line(worker):
    """What /readyz says about Twilio; empty if all is well."""
    return "".join(line for line in worker.get("/readyz")[1].splitlines() if line.startswith("twilio: "))


def check_twilio(system, **settings):
    """What `check` says of Twilio: its lines as (state, detail, advice)."""
    rows = system.command("check", "--json", **settings).rows()
    return [(row["result"], row["detail"], row.get("advice")) for row in rows if row["check"] == "twilio"]


@pytest.mark.timeout(180)
def test_who_is_not_twilio_gets_nothing(system, authority, stranger):
    """
    One after the other in Twilio's place: evidence, /readyz and `check` say what is wrong; not a byte of a request is
    sent, no retry is spent and no destination blamed. Once the certificate is right it goes out, and lookups work.
    """
    good = authority.issue()
    for n in range(3):
        system.destination(f"d{n}", to=f"+1555777000{n}")
    with TlsFront(system.sim.base_url, good) as front:
        settings = {"twilio_base_url": front.url, "twilio_ca_file": authority.path}
        system.sim.life("queued", "delivered", callbacks="withheld")
        worker = system.worker(status_poll_delay="1s", **settings).wait_ready()
        for number, (name, change, reason, words) in enumerate(LIARS):
            change(front, authority, stranger)
            before = front.connections
            system.produce(*[system.event(f"{name}-{n}", f"d{n}") for n in range(3)])
            until(lambda: re.search(words, twilio_line(worker)), 20, f"/readyz about {name}: {words}")
            until(lambda: system.attempts(f"{name}-0"), 10, "evidence")
            for attempt in [a for n in range(3) for a in system.attempts(f"{name}-{n}")]:
                assert (attempt["outcome"], attempt["reason"], attempt["started_at"]) == ("retry", reason, None), attempt
                assert re.search(words, attempt["error_message"]) and attempt["http_status"] is None
                assert reason == "NOT_CONNECTED" or "MMS_TWILIO_CA_FILE" in attempt["advice"]
            assert front.connections >= before + 3, "each was tried"
            assert len(system.sim.posts()) == 3 * number, "nothing was sent"
            assert system.value("select max(budget_spent) from mms.deliveries where state = 'pending'") == 0
            assert system.value("select count(*) from mms.destination_health where condition = 'parked' or trouble > 0") == 0
            accepted = {"accepted": 3 * number} if number else {}
            until_equal(system.states, {"pending": 3, **accepted}, 10, "everything to be given back")
            if reason == "CERTIFICATE_REFUSED":
                ((state, detail, advice),) = check_twilio(system, **settings)
                assert state == "failed" and re.search(words, detail) and "MMS_TWILIO_CA_FILE" in advice
            front.use(good)
            system.wait_states(accepted=3 * (number + 1), timeout=45)
            until(lambda: not twilio_line(worker), 10, "/readyz to be well again")
        assert len(system.sim.posts()) == 3 * len(LIARS)
        assert check_twilio(system, **settings)[0][0] == "ok"
        until(lambda: system.value("select count(*) from mms.message_statuses where status = 'delivered'"), 20, "a poll")


@pytest.mark.timeout(60)
def test_the_systems_authorities_do_not_vouch_for_strangers(system, authority):
    """Without MMS_TWILIO_CA_FILE the system's authorities count, and a throwaway one isn't among them."""
    system.destination("d")
    with TlsFront(system.sim.base_url, authority.issue()) as front:
        ((state, detail, _),) = check_twilio(system, twilio_base_url=front.url)
    assert state == "failed" and "certificate problem" in detail
    assert system.sim.requests() == []


@pytest.mark.timeout(60)
def test_a_proxy_from_the_environment_changes_nothing_about_trust(system, authority, stranger):
    """Through https_proxy: the tunnel's far end has to be Twilio all the same; no_proxy goes past it."""
    system.destination("d")
    settings = {"twilio_ca_file": authority.path}

    def ask(front, **proxy):
        env = {**system.env(twilio_base_url=front.url, **settings), **proxy}
        done = subprocess.run([BIN / "mms-worker", "check", "--json"], env=env, capture_output=True, text=True, timeout=30)
        return [row for row in map(json.loads, done.stdout.splitlines()) if row["check"] == "twilio"]

    with TlsFront(system.sim.base_url, authority.issue()) as front, Tunnel() as tunnel:
        assert ask(front, https_proxy=tunnel.url)[0]["result"] == "ok" and tunnel.count >= 1
        front.use(stranger.issue())
        used = tunnel.count
        (row,) = ask(front, https_proxy=tunnel.url)
        assert row["result"] == "failed" and "certificate problem" in row["detail"] and tunnel.count > used
        used = tunnel.count
        ask(front, https_proxy=tunnel.url, no_proxy="127.0.0.1")
        assert tunnel.count == used


@pytest.mark.skipif(SANITIZED, reason="LeakSanitizer needs what a debugger needs, and who may debug may have the keys")
@pytest.mark.timeout(30)
def test_no_key_of_a_session_is_written(system, authority, tmp_path):
    """SSLKEYLOGFILE, by which libcurl would write down what decrypts a recorded request, does nothing."""
    system.destination("d")
    with TlsFront(system.sim.base_url, authority.issue()) as front:
        env = {**system.env(twilio_base_url=front.url, twilio_ca_file=authority.path), "SSLKEYLOGFILE": str(tmp_path / "keys")}
        done = subprocess.run([BIN / "mms-worker", "check", "--json"], env=env, capture_output=True, text=True, timeout=30)
    assert "ok" in [row["result"] for row in map(json.loads, done.stdout.splitlines()) if row["check"] == "twilio"]
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("url", ["http://me:{}/x@127.0.0.1:3128", "http://me:{} x@127.0.0.1", "http://me:{}", "socks9://me:{}@127.0.0.1"])
@pytest.mark.timeout(60)
def test_a_proxy_whose_url_cannot_be_read_keeps_its_password(system, url):
    """A password that isn't escaped, a port that is none: all that is said is which setting, and how it is to be written."""
    password = "tunnel0hush0tunnel"
    system.destination("d")
    worker = system.worker(under=["env", "http_proxy=" + url.format(password)]).wait_ready()
    system.produce(*[system.event(f"e{n}", "d") for n in range(3)])
    until(lambda: twilio_line(worker), 20, "/readyz to say so")
    env = {**system.env(), "http_proxy": url.format(password)}
    done = subprocess.run([BIN / "mms-worker", "check", "--json"], env=env, capture_output=True, text=True, timeout=30)
    said = {
        "evidence": repr(system.query("select * from mms.attempt_history")),
        "log": worker.log_text(),
        "/readyz": twilio_line(worker),
        "check": done.stdout + done.stderr,
    }
    for place, text in said.items():
        assert password not in text, (place, text)
        assert "proxy" in text and "percent-encoded" in text, (place, text)


@pytest.mark.parametrize("content, words", [(None, "No such file"), ("no certificate\n", "no certificate in it")])
@pytest.mark.timeout(30)
def test_a_file_of_authorities_that_is_none(system, tmp_path, content, words):
    """Is refused at the start, in a line that names setting and file."""
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    worker = system.worker(twilio_ca_file=path)
    assert worker.wait(10) == 2
    system.workers.remove(worker)
    (line,) = worker.log_text().splitlines()
    assert "MMS_TWILIO_CA_FILE" in line and str(path) in line and words in line
