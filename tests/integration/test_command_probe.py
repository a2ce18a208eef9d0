"""`probe`, which containers have as their health check: a worker that is well, one that isn't, and what isn't a worker."""

import contextlib
import socket
import subprocess
import threading
import time

import pytest

from harness import BIN
from harness.process import clean_env, free_port

LIMIT = 3.0


def probe(*words, proxy=None, **settings):
    """Runs `probe` without a system: (exit status, stdout, stderr, seconds)."""
    begin = time.monotonic()
    env = clean_env(**{f"MMS_{name.upper()}": value for name, value in settings.items()})
    if proxy is not None:
        env = {**env, "http_proxy": proxy, "no_proxy": ""}
    done = subprocess.run([BIN / "mms-worker", "probe", *words], env=env, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begin


@contextlib.contextmanager
def server(*pieces, pause=0.0):
    """Somebody who listens, reads nothing, and sends these bytes one after the other; its URL."""
    over = threading.Event()
    connections = []

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connections.append(connection)
            for piece in pieces:
                connection.sendall(piece)
                if over.wait(pause):
                    break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in connections:
                connection.close()


@pytest.mark.timeout(60)
def test_a_worker_that_is_well(system):
    """It is found by MMS_HTTP_LISTEN, also when it listens on any address, and no proxy is asked."""
    worker = system.worker(http_listen="0.0.0.0:0").wait_ready()
    for listen in ("127.0.0.1", "0.0.0.0", "localhost"):
        for words in ((), ("--ready",)):
            assert probe(*words, http_listen=f"{listen}:{worker.port}")[:3] == (0, "ok\n", "")
    assert probe(http_listen=f"127.0.0.1:{worker.port}", proxy="http://127.0.0.1:1")[:2] == (0, "ok\n")


@pytest.mark.timeout(60)
def test_a_worker_that_is_not_ready(system):
    """Without Kafka it lives, and `--ready` says what is away and fails."""
    port = free_port()
    worker = system.worker(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", http_listen=f"127.0.0.1:{port}")
    assert worker.get("/readyz")[0] == 503
    assert probe(http_listen=f"127.0.0.1:{port}")[:3] == (0, "ok\n", "")
    status, out, err, _ = probe("--ready", http_listen=f"127.0.0.1:{port}")
    assert (status, err) == (1, f"mms-worker probe: http://127.0.0.1:{port}/readyz: HTTP status 503, expected 200\n")
    assert "kafka: " in out


@pytest.mark.timeout(30)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::]", "::", "[::1]", "::1"])
def test_nobody_listens(host):
    """One line, and at once. Whoever listens on any address is looked for on loopback."""
    port = free_port()
    status, out, err, seconds = probe(http_listen=f"{host}:{port}")
    loopback = "[::1]" if ":" in host else "127.0.0.1"
    assert (status, out) == (1, "")
    assert err.startswith(f"mms-worker probe: http://{loopback}:{port}/healthz: ") and err.count("\n") == 1
    assert seconds < LIMIT


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", *[b"."] * 80)], ids=["silent", "slow"])
def test_a_server_that_hangs(pieces):
    """Neither one that says nothing nor one that goes on and on gets more than three seconds."""
    with server(*pieces, pause=0.1) as url:
        status, _, err, seconds = probe(url)
    assert status == 1 and "timed out" in err
    assert LIMIT <= seconds < LIMIT + 2


@pytest.mark.timeout(30)
def test_an_answer_of_a_stranger():
    """It can't move the terminal's cursor, nor fill it."""
    with server(b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J\x00well\n", b"x" * 1_000_000) as url:
        status, out, _, _ = probe(url)
    assert out.startswith("?[2J?well\nxxx") and len(out) <= (16 << 10) + 1
    assert status == 1  # the answer never came to an end


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "words, settings, said",
    [
        (["ftp://127.0.0.1/"], {}, "expected an http or https URL"),
        (["no url"], {}, "expected an http or https URL"),
        (["http://127.0.0.1:9/", "--ready"], {}, "--ready"),
        ([], {"http_listen": "127.0.0.1:0"}, "port 0"),
        ([], {"http_listen": "here"}, "expected address:port"),
        ([], {"typo": "1"}, "no such setting"),
    ],
)
def test_what_is_wrong(words, settings, said):
    """One line and exit status 2."""
    status, out, err, _ = probe(*words, **settings)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
