"""The Twilio simulator as a process, and its control API as methods."""

import requests

from . import BIN
from .process import Process
from .wait import until


class Sim:
    """A running simulator. `base_url` is what MMS_TWILIO_BASE_URL wants. A context manager."""

    def __init__(self, directory, binary=None):
        directory.mkdir(parents=True, exist_ok=True)
        self._port_file = directory / "sim.port"
        self._port_file.unlink(missing_ok=True)
        self.process = Process(
            [binary or BIN / "twilio-sim", "--listen", "127.0.0.1:0", "--port-file", self._port_file],
            log_path=directory / "sim.log",
        )
        port = until(lambda: self._port_file.exists() and self._port_file.read_text().strip(), 10, "the simulator")
        self.base_url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._session.close()
        self.process.stop()

    def _call(self, method, path, **arguments):
        answer = self._session.request(method, f"{self.base_url}/_sim/{path}", timeout=60, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def fault(self, name, match=None, **parameters):
        """Switches a fault on; returns its number for clear()."""
        return self._call("POST", "faults", json={"fault": name, "match": match or {}, **parameters})["id"]

    def faults(self):
        """The faults that are on, with how often each has hit."""
        return self._call("GET", "faults")

    def clear(self, number=None):
        """Switches one fault off, or all of them."""
        self._call("DELETE", "faults" if number is None else f"faults/{number}")

    def requests(self, since=0, limit=100000):
        """Every request so far, in order of arrival; arrived_at in seconds. Those numbered (n) above `since`."""
        return self._call("GET", "requests", params={"since": since, "limit": limit})

    def posts(self, **fields):
        """The create requests whose fields (to=…, body=…) are these."""
        return [
            entry
            for entry in self.requests()
            if entry["method"] == "POST" and all(entry[name] == value for name, value in fields.items())
        ]

    def messages(self, **match):
        """The messages that exist at Twilio."""
        return self._call("GET", "messages", params={"limit": 100000, **match})

    def plant(self, account_sid, to, body, age_ms=0, **more):
        """A message as another system had sent it; more: from_, messaging_service_sid, media_urls. Returns its SID."""
        fields = {name.rstrip("_"): value for name, value in more.items()}
        return self._call(
            "POST", "messages", json={"account_sid": account_sid, "to": to, "body": body, "age_ms": age_ms, **fields}
        )["sid"]

    def gaps(self, key="to"):
        """For each To: count, min_gap_ms, early (gaps under a second)."""
        return self._call("GET", "gaps", params={"key": key})

    def set_token(self, account_sid, auth_token):
        """The only valid password of an account."""
        self._call("POST", "accounts", json={"account_sid": account_sid, "auth_token": auth_token})

    def latency(self, milliseconds):
        """How long every answer takes at least."""
        self._call("POST", "latency", json={"ms": milliseconds})

    def clock(self, offset_ms):
        """How far Twilio's clock is ahead of this machine's; negative: behind."""
        self._call("POST", "clock", json={"offset_ms": offset_ms})

    def seed(self, seed):
        """Makes the draws of faults with a probability repeatable."""
        self._call("POST", "seed", json={"seed": seed})

    def clear_requests(self):
        """Empties the log of requests; messages stay."""
        self._call("DELETE", "requests")

    def stats(self):
        return self._call("GET", "stats")
