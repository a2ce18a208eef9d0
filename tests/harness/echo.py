"""A proxy between workers and Twilio that is the worst one imaginable: it echoes what it was sent, in every way."""

import base64
import contextlib
import gzip
import http.client
import http.server
import json
import re
import threading
import urllib.parse

from .canary import SPELLINGS

_SID = "MM" + "0123456789abcdef" * 2
_ROOM = 16 << 10  # what evidence keeps of a body
_READ = 64 << 10  # what is read of it


def _login(header):
    return base64.b64decode((header or "Basic Og==").removeprefix("Basic ")).decode().split(":", 1)


def page(headers):
    """What such a proxy knows of a request, in a line."""
    user, password = _login(headers["Authorization"])
    _, proxy = _login(headers["Proxy-Authorization"])
    return (
        f"Authorization: {headers['Authorization']}; {user}:{password};"
        f" Proxy-Authorization: {headers['Proxy-Authorization']}; password={proxy}"
    )


def _last(text):
    """A whole secret of a page, to be cut by who reads it."""
    return text.rsplit("password=", 1)[1]


def _shortened(text):
    """Who doesn't want to show all of a long word."""
    return re.sub(r"\S{24,}", lambda word: word[0][:-4] + "...", text)


def _refusal(message, code=21211):
    return json.dumps({"code": code, "message": message, "more_info": message, "status": 400}).encode()


# name: (status, headers, body) of the page
_ANSWERS = {
    "message": lambda text: (400, {}, _refusal(text)),
    "message, shortened": lambda text: (400, {}, _refusal(_shortened(text))),
    "message, cut": lambda text: (400, {}, _refusal("x" * 490 + _last(text) + text)),
    "body, cut": lambda text: (500, {}, b"x" * (_ROOM - 20) + _last(text).encode() + text.encode()),
    "body, cut later": lambda text: (500, {}, b"x" * (_READ - 20) + _last(text).encode() + text.encode()),
    "accepted": lambda text: (201, {}, json.dumps({"sid": _SID, "status": "queued", "body": text}).encode()),
    "accepted, status": lambda text: (201, {}, json.dumps({"sid": _SID[::-1], "status": _last(text)}).encode()),
    "no SID": lambda text: (200, {}, json.dumps({"sid": text, "status": text}).encode()),
    "no JSON": lambda text: (200, {}, text.encode()),
    "redirect": lambda text: (302, {"Location": "https://elsewhere.example/?" + urllib.parse.quote(text)}, b""),
    "headers": lambda text: (503, dict.fromkeys(("Twilio-Request-Id", "Retry-After", "Content-Type"), text), text.encode()),
    "headers, cut": lambda text: (503, {"Twilio-Request-Id": "x" * 220 + _last(text) + text}, b""),
    "unauthorized": lambda text: (401, {"WWW-Authenticate": text}, text.encode()),
    "busy": lambda text: (429, {"Retry-After": text}, _refusal(text, 20429)),
    "proxy's own": lambda text: (407, {"Proxy-Authenticate": text}, text.encode()),
    "gzip": lambda text: (502, {"Content-Encoding": "gzip"}, gzip.compress(text.encode(), 0)),
    "chunks": lambda text: (502, {"Transfer-Encoding": "chunked"}, text.encode()),
    "broken off": lambda text: (400, {"Content-Length": "99999"}, text.encode()),
}


def _chunks(body):
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def _spelled(spelling, as_json):
    spell = SPELLINGS[spelling]
    if as_json:
        return lambda text: (400, {}, _refusal(spell(text)))
    return lambda text: (502, {"Content-Type": "text/html"}, f"<pre>{spell(text)}</pre>".encode())


MODES = {
    **_ANSWERS,
    **{f"{spelling}, page": _spelled(spelling, False) for spelling in SPELLINGS},
    **{f"{spelling}, message": _spelled(spelling, True) for spelling in SPELLINGS},
}


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024  # a fleet's first sends come together
    daemon_threads = True


class EchoProxy:
    """An HTTP proxy with a login. A context manager.

    modes    {To: name in MODES}: how requests about this phone are answered; all else is passed on
    failing  phones (To) whose messages have failed, says a poll
    received what it got: request lines, headers and bodies, as bytes
    echoed   {name of a mode: the bytes that it answered}
    """

    def __init__(self, user, password):
        self.modes = {}
        self.failing = set()
        self.received = []
        self.echoed = {}
        self.lists = 0
        self._login = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password, safe='')}"
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy._serve(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    @property
    def url(self):
        """For http_proxy."""
        return f"http://{self._login}@127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.received.append(request.requestline.encode() + b"\n" + str(request.headers).encode() + body)
        query = body if request.command == "POST" else urllib.parse.urlsplit(request.path).query.encode()
        to = urllib.parse.parse_qs(query.decode()).get("To", [""])[0]
        self.lists += request.command == "GET" and bool(to)
        with contextlib.suppress(OSError):
            if to in self.modes:
                status, headers, answer = MODES[self.modes[to]](page(request.headers))
                self.echoed[self.modes[to]] = repr(headers).encode() + answer
            else:
                status, headers, answer = self._pass_on(request, body)
            self._answer(request, status, headers, answer)

    def _pass_on(self, request, body):
        url = urllib.parse.urlsplit(request.path)
        twilio = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        headers = {name: value for name, value in request.headers.items() if not name.startswith("Proxy-")}
        twilio.request(request.command, urllib.parse.urlunsplit(("", "", *url[2:])), body or None, headers)
        answer = twilio.getresponse()
        said = answer.read()
        twilio.close()
        kept = {name: value for name, value in answer.getheaders() if name in ("Content-Type", "Date")}
        if request.command == "GET" and "/Messages/" in url.path and answer.status == 200:
            said = self._embellish(said, page(request.headers))
        elif request.command == "GET" and url.path.count("/") == 3:
            return 400, kept, _refusal(page(request.headers), 20003)
        return answer.status, kept, said

    def _embellish(self, said, text):
        """A message that failed, and why."""
        message = json.loads(said)
        if message["to"] not in self.failing:
            return said
        message = {**message, "status": "failed", "error_code": 30008, "error_message": text, "price": text}
        self.echoed["poll"] = json.dumps(message).encode()
        return self.echoed["poll"]

    @staticmethod
    def _answer(request, status, headers, body):
        request.send_response(status)
        if "Transfer-Encoding" in headers:
            body = _chunks(body)
        else:
            headers = {"Content-Length": str(len(body)), **headers}
        for name, value in {**headers, "Connection": "close"}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True
