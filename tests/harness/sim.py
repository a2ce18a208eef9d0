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
        """A message as another system had sent it; more: from_, messaging_service_sid, media_urls, status_callback.

        Returns its SID.
        """
        fields = {name.rstrip("_"): value for name, value in more.items()}
        return self._call(
            "POST", "messages", json={"account_sid": account_sid, "to": to, "body": body, "age_ms": age_ms, **fields}
        )["sid"]

    def life(self, *steps, match=None, **rule):
        """What becomes of messages created from now on that match. A step is a status, or a dict; README of tests/sim.

        life("queued", "sending", "sent", {"status": "delivered", "after_ms": 100}, match={"to": …}, callbacks="reversed")
        rule: times, probability, callbacks. Returns the rule's number, for end_life().
        """
        steps = [{"status": step} if isinstance(step, str) else step for step in steps]
        return self._call("POST", "lives", json={"match": match or {}, "steps": steps, **rule})["id"]

    def lives(self):
        """The rules for lives, with how many messages each has taken."""
        return self._call("GET", "lives")

    def end_life(self, number=None):
        """Removes one rule, or all; messages that are on their way go on."""
        self._call("DELETE", "lives" if number is None else f"lives/{number}")

    def move(self, sid, status, **step):
        """Moves one message by hand; step: error_code, error_message, callback, signature, repeat, extra, …"""
        return self._call("POST", f"messages/{sid}/status", json={"status": status, **step})

    def callbacks(self, since=0, limit=100000, **match):
        """Every status callback that was begun, in that order; match: sid=…, status=…, http_status=…"""
        entries = self._call("GET", "callbacks", params={"since": since, "limit": limit})
        return [entry for entry in entries if all(entry[name] == value for name, value in match.items())]

    def callbacks_to_come(self):
        """How much is still to happen by itself: messages with steps before them, and callbacks without an outcome."""
        stats = self.stats()
        return stats["lives_open"] + stats["callbacks_open"]

    def await_callbacks(self, timeout=10.0):
        """Waits until every message has come to its end and every callback was answered or given up; returns them all."""
        until(lambda: self.callbacks_to_come() == 0, timeout, lambda: f"the last callback; {self.stats()}")
        return self.callbacks()

    def opt_out(self, from_, to):
        """`to` has said STOP to a number or a messaging service."""
        self._call("POST", "opt_outs", json={"from": from_, "to": to})

    def opt_in(self, from_=None, to=None):
        """Takes one opt-out back, or all."""
        self._call("DELETE", "opt_outs", params={"from": from_, "to": to} if from_ else None)

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

    def reset(self):
        """Forgets everything, as if it had just started."""
        self._call("POST", "reset")

    def stats(self):
        return self._call("GET", "stats")
