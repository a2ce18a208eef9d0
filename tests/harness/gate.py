"""A gate in front of a server: what connects through it is passed on while it is open, and refused while it is shut."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit, urlunsplit

from .process import free_port


class Gate:
    """Passes connections to 127.0.0.1:port on to the server of a URL. Shut until open(); a context manager shuts it."""

    def __init__(self, url):
        self._parts = urlsplit(url)
        self.port = free_port()
        self._listener = None
        self._sockets = set()

    @property
    def url(self):
        """The server's URL, through the gate."""
        return urlunsplit(self._parts._replace(netloc=f"127.0.0.1:{self.port}"))

    def open(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return self

    def shut(self):
        """Refuses new connections and cuts those that are open."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
            self._listener.close()
            self._listener = None
        for end in list(self._sockets):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((self._parts.hostname, self._parts.port))
            except OSError:
                return
            for end, other in ((near, far), (far, near)):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.add(end)
                threading.Thread(target=self._pass_on, args=[end, other], daemon=True).start()

    def _pass_on(self, end, other):
        """What comes from one end goes to the other, until there is no more."""
        with contextlib.suppress(OSError):
            while part := end.recv(65536):
                other.sendall(part)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        self._sockets.discard(end)
        end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shut()
