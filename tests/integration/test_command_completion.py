"""Completion in bash: the script is made of the table of commands, and a real bash completes with it."""

import re
import subprocess

import pytest

from harness import BIN

pytestmark = pytest.mark.timeout(60)


def bash(script, cwd=None):
    done = subprocess.run(["bash", "-u", "-c", script], capture_output=True, text=True, timeout=20, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def complete(*words, cwd=None):
    """What bash offers for the last of the words, which follow the program's name."""
    line = " ".join(f"'{word}'" for word in ("mms-worker", *words))
    script = (
        f"source <('{BIN}/mms-worker' completion bash) && COMP_WORDS=({line}) && COMP_CWORD={len(words)}\n"
        "_mms_worker; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return sorted(bash(script, cwd).split("\n")[:-1]) if words else []


def helped(*words):
    return subprocess.run([BIN / "mms-worker", *words], capture_output=True, text=True, timeout=10, check=True).stdout


def all_commands():
    """Those of the help, by their names."""
    return [match.group(1) for match in re.finditer(r"^  ([a-z]+(?: [a-z]+)?)  ", helped("help"), re.MULTILINE)]


def test_every_command_and_option_is_completed():
    """Each command of the help word by word, and each option of its own help; no more than there are."""
    names = all_commands()
    assert "destination show" in names and "run" in names
    assert complete("") == sorted({name.split()[0] for name in names} | {"--help"})
    assert complete("help", "") == complete("")
    for group in {name.split()[0] for name in names if " " in name}:
        members = {name.split()[1] for name in names if name.startswith(group + " ")}
        assert complete(group, "") == sorted(members | {"--help"}), group
        assert complete("help", group, "") == complete(group, "")
    for name in names:
        options = set(re.findall(r"^  (--[a-z-]+)", helped(*name.split(), "--help"), re.MULTILINE))
        assert complete(*name.split(), "--") == sorted(options | {"--help"}), name


def test_words_begun():
    assert complete("dest") == ["destination"]
    assert complete("destination", "dis") == ["disable"]
    assert complete("destination", "show", "des_1", "--j") == ["--json"]
    assert complete("destination", "nothing", "") == [""]
    assert complete("nothing", "") == [""]


def test_values_of_a_closed_set():
    """Also where bash has taken '--option=value' apart."""
    conditions = ["active", "disabled", "missing", "parked"]
    assert complete("destination", "list", "--condition", "") == conditions
    assert complete("destination", "list", "--condition", "=") == conditions
    assert complete("destination", "list", "--condition", "=", "pa") == ["parked"]


def test_file_names(tmp_path):
    """Of operands and of options' values; blanks and what a shell would expand stay what they are."""
    for name in ("a file.json", "a$(touch oops).json", "b.json"):
        (tmp_path / name).touch()
    found = ["a file.json", "a$(touch oops).json"]
    assert complete("destination", "put", "a", cwd=tmp_path) == sorted(found)
    assert complete("destination", "test", "des_1", "--event", "a", cwd=tmp_path) == sorted(found)
    assert complete("destination", "put", "--", cwd=tmp_path) == ["--help"]
    assert complete("destination", "show", "a", cwd=tmp_path) == [""]
    assert complete("help", "destination", "put", "a", cwd=tmp_path) == [""]
    assert not (tmp_path / "oops").exists()


def test_it_is_installed_for_the_program():
    assert bash(f"source <('{BIN}/mms-worker' completion bash); complete -p mms-worker") == "complete -F _mms_worker mms-worker\n"
    assert helped("completion", "bash").isascii()
