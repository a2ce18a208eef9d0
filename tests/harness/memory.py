"""What is in a process' memory."""

import re
from pathlib import Path


def find(pid, needle):
    """Where bytes are in the memory of a process: a list of (region's name, the bytes around them)."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, _, _, _, *name = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("r") or name in (["[vvar]"], ["[vsyscall]"]):
                continue
            for at, bytes_ in _pieces(memory, start, end, len(needle)):
                for match in re.finditer(re.escape(needle), bytes_):
                    around = bytes_[max(0, match.start() - 64) : match.end() + 32]
                    found.append((name[0] if name else f"anonymous {span}", around))
    return found


def _pieces(memory, start, end, overlap, size=8 << 20):
    """(address, bytes) of a region, in pieces that share enough to miss nothing on an edge. What can't be read is left out."""
    while start < end:
        try:
            memory.seek(start)
            bytes_ = memory.read(min(size, end - start))
        except OSError:
            bytes_ = b""
        yield start, bytes_
        if len(bytes_) < min(size, end - start):
            return  # a guard page, or one that is gone
        start += size - overlap + 1
