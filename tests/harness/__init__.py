"""Real servers for tests and the demo: PostgreSQL, Apache Kafka, the embedded broker, and processes of ours.

README.md shows each of them in use. Nothing here outlives the Python process that started it.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The top of the source tree."""

BUILD = Path(os.environ.get("BUILD_DIR", ROOT / "build")).resolve()
"""Where logs, data and downloads go. BUILD_DIR moves it, for instance when the tree can't be written to."""

BIN = Path(os.environ.get("BIN_DIR", BUILD)).resolve()
"""Where the programs are that are tested; `make asan` has its own."""

SANITIZED = BIN.name == "asan"


class Unavailable(Exception):
    """A server can't be had on this machine. The text is one line that says why and what would help."""
