"""In front of a plain server: ends TLS, well or badly."""

import contextlib
import select
import socket
import ssl
import threading
import warnings
from urllib.parse import urlsplit

from .process import free_port


class TlsFront:
    """https at 127.0.0.1:port, passed on to the server of a plain URL. A context manager; begins with a certificate.

    greet   called with each connection before TLS begins, for protocols that begin without
    gather  so many seconds without a word end what the server says in one go: then the records are as large as can be
    use() and speak_plainly() change what it is like, and end the connections that are open.
    """

    def __init__(self, url, certificate, greet=lambda near: None, gather=0.0):
        self._greet = greet
        self._gather = gather
        self._target = urlsplit(url)
        self._sockets = set()
        self._context = self._words = None
        self.port = free_port()
        self.connections = 0  # so far
        self.use(certificate)
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def use(self, certificate, ancient=False):
        """Shows this certificate. ancient: speaks TLS 1.1 alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        if ancient:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        self._change(context, None)

    def speak_plainly(self, words):
        """Ends each connection with these words, in the clear, once the client has said something."""
        self._change(None, words)

    def _change(self, context, words):
        self._context, self._words = context, words
        self._shut(*self._sockets)

    @staticmethod
    def _shut(*ends):
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[near, self._context, self._words], daemon=True).start()

    def _serve(self, near, context, words):
        self._sockets.add(near)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(self._sockets.discard, near)
            stack.enter_context(near)
            if context is None:
                near.recv(65536)
                near.sendall(words)
                return
            self._greet(near)
            near = stack.enter_context(context.wrap_socket(near, server_side=True))
            self._sockets.add(near)
            stack.callback(self._sockets.discard, near)
            far = stack.enter_context(socket.create_connection((self._target.hostname, self._target.port)))
            self.pass_on(near, far, self._gather)

    @staticmethod
    def pass_on(near, far, gather=0.0):
        """Both ways, in one thread: OpenSSL wants no two at one connection."""
        while True:
            waiting = [near] if getattr(near, "pending", int)() else select.select([near, far], [], [])[0]
            for end in waiting:
                part = end.recv(65536)
                while gather and end is far and select.select([far], [], [], gather)[0] and (more := end.recv(65536)):
                    part += more
                if not part:
                    return
                (far if end is near else near).sendall(part)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._shut(self._listener)
        self._listener.close()
        self._change(None, b"")
