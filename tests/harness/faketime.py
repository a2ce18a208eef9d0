"""Programs whose clocks are off, by Debian's libfaketime."""

import subprocess
from pathlib import Path

from . import BIN, BUILD, Unavailable

_SOURCE = Path(__file__).with_name("true_waits.c")


class FakeTime:
    """Says under what a worker has to run to have its clocks off. A context manager that removes what is left."""

    def __init__(self):
        self._library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if self._library is None:
            raise Unavailable("libfaketime isn't installed; try: tests/install-packages test")
        if b"__asan_init" in (BIN / "mms-worker").read_bytes():
            raise Unavailable("libfaketime and AddressSanitizer both have to be loaded first")
        self._waits = BUILD / "test" / "true_waits.so"
        self._waits.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", self._waits, _SOURCE], check=True)
        self._before = self._left()

    def wall(self, offset):
        """A wall clock that is off by so much: "+1h"."""
        return self._under(offset, "FAKETIME_DONT_FAKE_MONOTONIC=1")

    def rate(self, factor):
        """Clocks, the monotonic one too, that run this much too fast: 1.00005."""
        return self._under(f"+0 x{factor}")

    def _under(self, spec, *options):
        # env(1) sets it for the worker alone: libfaketime stumbles over programs that become others.
        return ["env", *options, f"FAKETIME={spec}", f"LD_PRELOAD={self._waits}:{self._library}"]

    @staticmethod
    def _left():
        return set(Path("/dev/shm").glob("*faketime_*"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A worker that was killed leaves its shared memory behind.
        for path in self._left() - self._before:
            path.unlink(missing_ok=True)
