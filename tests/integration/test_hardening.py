"""What the compiler and the linker put between a mistake of ours and whoever would use it: it is there, in every build."""

import os
import platform
import re
import subprocess

import pytest

from harness import BIN, ROOT

PROGRAMS = ["mms-worker", "twilio-sim", "mms-broker"]
# Compilers' flags that leave no trace in a program.
EVERYWHERE = ["-fPIE", "-fstack-protector-strong"]
BY_MACHINE = {"x86_64": ["-fcf-protection=full", "-fstack-clash-protection"], "aarch64": ["-mbranch-protection=standard"]}
# What `make asan` and its kin choose for this run, beside MAKEFLAGS and the like.
OF_MAKE = {"BUILD", "CC", "CFLAGS", "LDFLAGS", "HARDENING", "SANITIZE"}
NOTES = {"x86_64": "IBT, SHSTK", "aarch64": "BTI, PAC"}


def readelf(path, *options):
    return subprocess.run(["readelf", "--wide", *options, path], capture_output=True, text=True, timeout=20, check=True).stdout


def imports(path):
    """The names of the functions that it takes from libraries."""
    return set(re.findall(r" UND (\w+)", readelf(path, "--dyn-syms")))


def assert_hardened(path):
    header, segments, dynamic, taken = (
        readelf(path, "--file-header"), readelf(path, "--segments"), readelf(path, "--dynamic"), imports(path),
    )
    assert re.search(r"Type: +DYN", header) and re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic), "not position-independent"
    assert "GNU_RELRO" in segments and re.search(r"\(FLAGS_1\).*\bNOW\b", dynamic), "relocations stay writable"
    assert re.search(r"GNU_STACK .* RW +0x", segments), "the stack can be executed"
    assert not re.search(r"LOAD .* RWE ", segments), "memory that can be written and executed"
    assert not re.search(r"\((TEXTREL|RPATH|RUNPATH)\)", dynamic), "text relocations, or a path to libraries"
    assert "__stack_chk_fail" in taken, "no stack protector"
    if not any(name.startswith("__asan_") for name in taken):
        assert {"__snprintf_chk", "__memcpy_chk"} & taken, "nothing fortified"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_hardened(program, tmp_path):
    """As they were built, and stripped, as they are in the image."""
    assert_hardened(BIN / program)
    subprocess.run(["strip", "-o", tmp_path / program, BIN / program], check=True, timeout=20)
    assert_hardened(tmp_path / program)


@pytest.mark.timeout(60)
def test_the_worker_is_fortified_by_level_3():
    """Sizes that only the running program knows are checked as well: level 2 doesn't ask for them."""
    if any(name.startswith("__asan_") for name in imports(BIN / "mms-worker")):
        pytest.skip("AddressSanitizer checks instead")
    assert {"__memcpy_chk", "__vsnprintf_chk"} <= imports(BIN / "mms-worker")


@pytest.mark.timeout(60)
@pytest.mark.skipif(platform.machine() not in NOTES, reason="knows x86-64 and ARM")
def test_code_is_ready_for_checked_branches():
    """Each object of ours says so. (The program as a whole does where the C library's own start files do, too.)"""
    objects = [path for part in ("common", "worker") for path in sorted((BIN / "obj" / part).glob("*.o"))]
    assert len(objects) > 50
    for path in objects:
        assert NOTES[platform.machine()] in readelf(path, "--notes"), path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("given", [{}, {"CFLAGS": "-O1 -g1"}, {"CFLAGS": "-O2 -D_FORTIFY_SOURCE=2", "LDFLAGS": "-Wl,-O1"}])
def test_own_flags_keep_it(compiler, given, tmp_path):
    """CFLAGS and LDFLAGS of whoever builds (a packager, a Dockerfile), from the environment or on make's command line."""
    if subprocess.run(["which", compiler], capture_output=True).returncode != 0:
        pytest.skip(f"no {compiler} here")
    for env, arguments in ((given, []), ({}, [f"{name}={value}" for name, value in given.items()])):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("M") and name not in OF_MAKE}
        command = ["make", "-n", "V=1", f"CC={compiler}", f"BUILD={tmp_path}", *arguments, f"{tmp_path}/mms-worker"]
        said = subprocess.run(command, cwd=ROOT, env={**clean, **env}, capture_output=True, text=True, timeout=60, check=True).stdout
        compiled = next(line for line in said.splitlines() if line.endswith(" worker/main.c"))
        linked = next(line for line in said.splitlines() if f"-o {tmp_path}/mms-worker" in line)
        for flag in [*EVERYWHERE, *BY_MACHINE.get(platform.machine(), [])]:
            assert flag in compiled.split()
        assert compiled.rindex("-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3") > compiled.find("-D_FORTIFY_SOURCE=2")
        assert "-ftrivial-auto-var-init=zero" in compiled or compiler == "clang"
        assert {"-pie", "-Wl,-z,relro,-z,now,-z,noexecstack"} <= set(linked.split())
        assert given.get("CFLAGS", "-O2") in compiled and given.get("LDFLAGS", "") in linked


def test_the_image_is_built_with_the_same_flags():
    """The Dockerfile lets the Makefile choose."""
    made = re.findall(r"RUN make (.*)", (ROOT / "worker" / "deploy" / "Dockerfile").read_text())
    assert made and not any("FLAGS" in line or "HARDENING" in line for line in made)
