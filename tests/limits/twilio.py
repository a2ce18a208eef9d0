"""A Twilio that means no good: answers without an end, by the phone that is written to."""

import contextlib
import http.server
import itertools
import json
import secrets
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qs

_CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
_CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
_LONG = b"v" * 65536


def _then(first, rest):
    return itertools.chain([first], itertools.repeat(rest))


# Pieces of answers; a pause between them where there is one.
ANSWERS = {
    "endless-body": (lambda: _then(_CREATED + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK), 0),
    "gib-body": (lambda: itertools.chain([_CREATED + b"Content-Length: 1073741824\r\n\r\n"], itertools.repeat(_LONG, 16384)), 0),
    "endless-headers": (lambda: _then(_CREATED, b"X-More: " + b"v" * 1000 + b"\r\n"), 0),
    "long-header": (lambda: itertools.chain([_CREATED + b"X-Long: "], itertools.repeat(_LONG, 160), [b"\r\n\r\n"]), 0),
    "endless-interim": (lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), 0),
    "drip-headers": (lambda: _then(_CREATED, b"X: y\r\n"), 0.2),
    "drip-body": (lambda: _then(_CREATED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), 0.2),
    "silence": (lambda: _then(b"", b""), 0.2),
}
PHONES = {f"+1556000{n:04}": name for n, name in enumerate(ANSWERS)}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        name = PHONES.get(form["To"][0])
        if name is None:
            self._answer(201, {"sid": "MM" + secrets.token_hex(16), "status": "queued"})
        else:
            self._misbehave(*ANSWERS[name])

    def do_GET(self):
        """A list of messages without an end."""
        self.server.pages += 1
        body = secrets.token_hex(400)
        now = formatdate(usegmt=True)
        messages = [
            {"sid": "MM" + secrets.token_hex(16), "to": parse_qs(self.path.partition("?")[2])["To"][0], "from": "+15550001111",
             "body": body * 2, "status": "sent", "direction": "outbound-api", "date_created": now, "date_sent": now}
            for _ in range(200)
        ]  # fmt: skip
        self._answer(200, {"messages": messages, "next_page_uri": self.path})

    def _answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _misbehave(self, pieces, pause):
        self.close_connection = True
        with contextlib.suppress(OSError):
            for piece in pieces():
                self.connection.sendall(piece)
                time.sleep(pause)
                if self.server.closed:
                    return

    def log_message(self, *_):
        pass


class HostileTwilio(http.server.ThreadingHTTPServer):
    """pages: how many pages of lists were asked for. A context manager."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = 0
        self.closed = False
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Clients go away."""

    def __exit__(self, *error):
        self.closed = True
        self.shutdown()
        super().__exit__(*error)
