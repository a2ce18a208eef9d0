"""Programs whose allocations fail, and whose reads and writes are cut short (failing_calls.c)."""

import ctypes
import mmap
import os
import subprocess
from pathlib import Path

from . import BIN, BUILD, Unavailable

_SOURCE = Path(__file__).with_name("failing_calls.c")


class _Control(ctypes.Structure):
    """As failing_calls.c has it."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "counting", "allocations", "fail_at", "failed",
            "disturbing", "transfers", "waiting", "cut", "again", "interrupted",
        )
    ]


class FailingCalls:
    """
    Under what a program has to run (`under`), and what is done to it. One program at a time. A context manager.

    The fields of failing_calls.c's struct are attributes: `allocations` is how many were made since count().
    """

    def __init__(self, name):
        if b"__asan_init" in (BIN / "mms-worker").read_bytes():
            raise Unavailable("AddressSanitizer has allocations of its own, and ends the process when one fails")
        directory = BUILD / "test" / "failing"
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{name}.control"
        self._path.write_bytes(bytes(ctypes.sizeof(_Control)))
        with open(self._path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._memory)
        # env(1) sets it for the program alone.
        self.under = ["env", f"LD_PRELOAD={build()}", f"FAILING_CALLS={self._path}"]

    def count(self, fail_at=0):
        """From now on allocations are counted, and number `fail_at`, from 1, fails. 0: none does."""
        self._control.counting = 0
        self._control.allocations = 0
        self._control.failed = 0
        self._control.fail_at = fail_at
        self._control.counting = 1

    def stop_counting(self):
        self._control.counting = 0

    def disturb(self):
        """From now on a third of the reads and writes is cut to a byte, and a third must be repeated."""
        self._control.disturbing = 1

    def __getattr__(self, name):
        return getattr(self._control, name)

    def close(self):
        self._path.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def build():
    """The library's path; it is made again when its source has changed."""
    library = BUILD / "test" / "failing" / "failing_calls.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    if not library.exists() or library.stat().st_mtime < _SOURCE.stat().st_mtime:
        options = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC"]
        made = library.with_suffix(f".{os.getpid()}")  # beside it first: others may be using the old one
        subprocess.run(["cc", *options, "-o", made, _SOURCE], check=True)
        made.rename(library)
    return library
