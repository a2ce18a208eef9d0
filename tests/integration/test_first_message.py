"""README.md's first message, as a newcomer types it."""

import re
import signal
import subprocess
import sys
import textwrap

import pytest

from harness import BUILD, ROOT
from harness.process import Process, clean_env
from harness.wait import until

PLAYGROUND = BUILD / "playground"


def newcomers_blocks():
    """What README.md says to type, block by block, but for `make playground`."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## A first message in five minutes") : text.index("## The life of an event")]
    blocks = [textwrap.dedent(block).strip() for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]
    assert blocks[0] == "make playground" and blocks[1].startswith(". build/playground/env\n")
    return [blocks[1].replace("build/playground/env", str(PLAYGROUND / "env")), *blocks[2:]]


@pytest.fixture
def playground():
    process = Process(
        [sys.executable, ROOT / "tests/demo/playground.py"],
        env=clean_env(PYTHONPATH=ROOT / "tests"),
        log_path=BUILD / "test/logs/playground.log",
    )
    try:
        until(lambda: (PLAYGROUND / "env").exists() or not process.alive, 60, "the playground")
        assert process.alive, process.log_text()
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(30)
        assert (status, PLAYGROUND.exists()) == (0, False), process.log_text()
        process.log_path.unlink()


class Shell:
    """One bash, as a newcomer's terminal: block by block, with what each says and its exit status."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env(), text=True, cwd=ROOT
        )

    def type(self, block):
        """(status, text) of the block."""
        self.process.stdin.write(f"{block}\necho status $?\n")
        self.process.stdin.flush()
        said = ""
        for line in self.process.stdout:
            if match := re.fullmatch(r"status (\d+)\n", line):
                return int(match[1]), said
            said += line
        raise AssertionError(f"the shell has ended: {said}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.mark.timeout(180)
def test_the_readme_leads_to_a_first_message(playground):
    """Each block, one behind the other: a message, its story, a failure that is mended and replayed."""
    check, put, first, story, failure, replay, end = newcomers_blocks()
    shell = Shell()
    try:
        status, said = shell.type(check)
        assert status == 0 and "FAILED" not in said and "ok       postgresql" in said, said
        assert shell.type(put) == (0, "created des_alerts\n")
        status, said = shell.type(first)
        assert status == 0 and "\naccepted\n" in said, said
        until(lambda: "delivered" in shell.type(story)[1], 20, "the message to be delivered")
        status, said = shell.type(failure)
        assert status == 1 and "failed: TOKEN_MISSING" in said and "{{payload.phone}}" in said, said
        status, said = shell.type(replay)
        assert status == 0 and "To                    +37120000000" in said and "new series of attempts: 1" in said, said
        until(lambda: "accepted" in shell.type(end)[1], 20, "the replay to be accepted")
        status, said = shell.type(end)
        assert status == 0 and "Replay 1 to des_alerts (ops alerts): accepted" in said and "\ndes_alerts " in said, said
    finally:
        shell.close()
