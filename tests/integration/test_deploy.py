"""
The files that deploy: Dockerfile, docker-compose.yml, systemd units, Kubernetes manifests. No engine and no cluster is
needed; what can be held against the program itself is: settings, ports, time limits, libraries, sources.
"""

import contextlib
import fnmatch
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from harness import BIN, BUILD, ROOT
from harness.process import Process, clean_env, free_port
from harness.wait import until

DEPLOY = ROOT / "worker" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SYSTEMD = DEPLOY / "systemd"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
NAME = re.compile(r"\bMMS_[A-Z0-9_]*[A-Z0-9]\b")
FAMILY = "MMS_KAFKA_"
PORT = "9464"
STOP_SECONDS = 35 + 10  # MMS_TWILIO_TIMEOUT as delivered, and what a worker adds to it
NOT_OURS = "192.0.2.1:9464"  # an address (RFC 5737) that no machine has


def settings():
    """The program's settings with their defaults; None: required."""
    text = subprocess.run([BIN / "mms-worker", "run", "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.findall(r"^  (MMS_[A-Z_]+)(?:  \((?:(required)|default (.*))\))?$", text, re.MULTILINE)
    assert len(found) > 15
    return {name: None if required else default for name, required, default in found}


def manifests():
    """The Kubernetes objects by kind; the owner's secret is Secret-owner."""
    loaded = [yaml.safe_load(path.read_text()) for path in sorted(KUBERNETES.glob("*.yaml"))]
    return {each["kind"] + ("-owner" if each.get("metadata", {}).get("name", "").endswith("-owner") else ""): each for each in loaded}


def compose_environment(service, **chosen):
    """What compose makes of a service's environment. chosen: what .env says."""

    def value(match):
        return chosen.get(match[1]) or match[2]

    return {
        name: re.sub(r"\$\{([A-Z_]+):-([^}]*)\}", value, text) for name, text in SERVICES[service]["environment"].items()
    }


def examples():
    """The settings in .env.example, each as it stands there first."""
    found = {}
    for name, value in re.findall(r"^#([A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE):
        found.setdefault(name, value)
    return found


def assert_taken(environment):
    """`run` accepts these settings: it gets as far as listening, where it is stopped by an address that isn't ours."""
    environment = {**environment, "MMS_HTTP_LISTEN": NOT_OURS}
    done = subprocess.run([BIN / "mms-worker", "run"], env=clean_env(**environment), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and f"cannot listen on {NOT_OURS}" in done.stderr, done.stderr


# ---- settings ----


@pytest.mark.timeout(30)
def test_every_setting_that_is_named_exists():
    """In all files for deployment; properties of librdkafka are judged by assert_taken()."""
    known = set(settings()) | {FAMILY + "<PROPERTY>"}
    files = [ROOT / "docker-compose.yml", ROOT / ".env.example", *(p for p in DEPLOY.rglob("*") if p.is_file())]
    assert len(files) > 12
    for path in files:
        named = set(NAME.findall(path.read_text()))
        unknown = {name for name in named - known if not name.startswith(FAMILY)}
        assert unknown <= {"MMS_API_PORT"}, (path, unknown)  # this one is an example of what isn't a setting


@pytest.mark.timeout(30)
def test_compose_passes_every_setting_on():
    """From .env, under its own name; only the listener is fixed, as the health check and Prometheus want it."""
    given = SERVICES["worker"]["environment"]
    assert set(settings()) - set(given) == set()
    for name, text in given.items():
        if name.startswith("MMS_") and name != "MMS_HTTP_LISTEN":
            assert re.fullmatch(r"\$\{(\w+):-.*\}", text)[1] == name
    assert given["MMS_HTTP_LISTEN"] == f"0.0.0.0:{PORT}"
    assert SERVICES["migrate"]["environment"] == {**given, "PGUSER": SERVICES["postgres"]["environment"]["POSTGRES_USER"]}


@pytest.mark.timeout(30)
def test_the_example_of_env_is_complete_and_true():
    """Each variable of docker-compose.yml is in it, with the default that holds when it isn't set."""
    variables = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    shown = examples()
    assert set(shown) == set(variables)
    assert not re.findall(r"^[^#\n]", ENV_EXAMPLE, re.MULTILINE)  # a copy changes nothing yet
    defaults = settings()
    for name, fallback in variables.items():
        default = fallback or defaults.get(name)
        assert not default or shown[name] == default, name


@pytest.mark.timeout(60)
def test_the_worker_takes_what_compose_gives_it():
    """With no .env, with all of .env.example in effect, and with the real Twilio."""
    assert_taken(compose_environment("worker"))
    assert_taken(compose_environment("worker", **{**examples(), "MMS_KAFKA_SASL_USERNAME": "u", "MMS_KAFKA_SASL_PASSWORD": "p"}))
    assert "#MMS_TWILIO_BASE_URL=https://api.twilio.com\n" in ENV_EXAMPLE
    assert_taken(compose_environment("worker", MMS_TWILIO_BASE_URL="https://api.twilio.com", MMS_TWILIO_ALLOW_HTTP="false"))


def uncommented(text):
    """An environment file with all its examples in effect."""
    return {name: value for name, value in re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE) if value}


@pytest.mark.timeout(30)
def test_the_worker_takes_the_units_environment():
    text = (SYSTEMD / "mms-worker.env.example").read_text()
    assert_taken(uncommented(text))
    assert not re.search(r"^\w*(PASSWORD|SECRET|TOKEN)\w*=.", text, re.MULTILINE)


@pytest.mark.timeout(30)
def test_the_worker_takes_the_manifests_environment():
    """As it stands, and with the examples that are commented out."""
    objects = manifests()
    assert_taken({**objects["ConfigMap"]["data"], **objects["Secret"]["stringData"]})
    more = "".join((KUBERNETES / name).read_text() for name in ("configmap.yaml", "secret.yaml"))
    assert_taken(dict(re.findall(r"^ +(?:# )?((?:MMS|PG)[A-Z_]+): \"?([^\"\n]+)\"?$", more, re.MULTILINE)))


# ---- the image ----


def test_the_dockerfile_needs_no_extensions():
    """Both builders take it, nothing but Debian is pulled, and nothing runs through a shell at run time."""
    assert not re.search(r"^# *syntax|--mount|<<", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"debian:bookworm-slim", "runtime"}
    lines = re.sub(r"\\\n", " ", DOCKERFILE)
    for instruction in ("ENTRYPOINT", "CMD"):
        commands = re.findall(rf"\b{instruction} +(.*)$", lines, re.MULTILINE)
        assert len(commands) >= 2 and all(yaml.safe_load(command)[0] for command in commands)
        assert all(isinstance(yaml.safe_load(command), list) for command in commands)
    assert not re.search(r"\bcurl\b|\bwget\b", DOCKERFILE)
    assert lines.count("apt-get install -y --no-install-recommends") == lines.count("apt-get install") == 1


def test_the_image_runs_as_nobody_special():
    """By number, so that Kubernetes can tell; the manifests have the same one."""
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert len(user) == 1 and DOCKERFILE.index("USER") < DOCKERFILE.index("AS worker")
    assert f"--uid {user[0][0]}" in DOCKERFILE and f"--gid {user[0][1]}" in DOCKERFILE
    for kind in ("Deployment", "Job"):
        context = manifests()[kind]["spec"]["template"]["spec"]["securityContext"]
        assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user[0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", ["mms-worker", "twilio-sim"])
def test_the_image_has_every_library(program):
    """What the program is linked with comes from a package that the Dockerfile installs."""
    listed = set(re.findall(r"^ +((?:lib|ca-)[a-z0-9.-]+) \\$", DOCKERFILE, re.MULTILINE))
    needed = re.findall(
        r"NEEDED +(\S+)",
        subprocess.run(["objdump", "-p", BIN / program], capture_output=True, text=True, timeout=30, check=True).stdout,
    )
    needed = [name for name in needed if not name.startswith(("libasan", "libubsan"))]  # of `make asan`
    assert len(needed) >= 4
    for name in needed:
        owners = subprocess.run(["dpkg-query", "-S", f"*/{name}"], capture_output=True, text=True, timeout=30, check=True).stdout
        packages = {line.split(":")[0] for line in owners.splitlines()}
        assert packages & (listed | {"libc6"}), (name, packages)


@contextlib.contextmanager
def first_process(*words, **settings):
    """mms-worker with these words as process 1 of a PID namespace, as in a container: (its launcher, its real pid)."""
    launcher = ["unshare", "--pid", "--fork", "--kill-child", "--"]
    if subprocess.run([*launcher, "true"], capture_output=True, timeout=10, check=False).returncode != 0:
        launcher[1:1] = ["--user", "--map-root-user"]
        if subprocess.run([*launcher, "true"], capture_output=True, timeout=10, check=False).returncode != 0:
            pytest.skip("no PID namespace can be made here, neither as root nor as a user")
    with Process([*launcher, BIN / "mms-worker", *words], env=clean_env(**settings), log_path=BUILD / "test" / "first.log") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text().strip() or not process.alive, 10, "process 1")
        yield process, int(children.read_text())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_can_be_stopped_as_first_process(number):
    """Process 1 gets no signal without a handler: Ctrl-C would do nothing in `docker run -it … mms-worker top`."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with first_process("probe", f"http://127.0.0.1:{silent.getsockname()[1]}/") as (process, pid):
            connection, _ = silent.accept()
            os.kill(pid, number)
            assert process.wait(2) == 128 + number  # by itself it ends with 1, after three seconds
            connection.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_stops_cleanly_as_first_process(number):
    """Nothing between it and the engine is needed; also while nothing that it depends on is there."""
    away = f"127.0.0.1:{free_port()}"
    settings = {"MMS_KAFKA_BOOTSTRAP_SERVERS": away, "MMS_DATABASE_URL": f"postgresql://{away}/mms", "MMS_HTTP_LISTEN": "127.0.0.1:0"}
    with first_process("run", **settings) as (process, pid):
        process.wait_for_log("running")
        os.kill(pid, number)
        assert process.wait(20) == 0, process.log_tail()


def context_files():
    """What the builder gets to see: the files here, and some that may be, through .dockerignore (its last match wins)."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    names = [".env", ".git/config", "build/mms-worker", "worker/deploy/.env"]
    for directory, children, files in os.walk(ROOT):
        children[:] = [child for child in children if child not in (".git", "build", "__pycache__")]
        names += [os.path.relpath(os.path.join(directory, file), ROOT) for file in files]

    def seen(name):
        keep = True
        for rule in rules:
            pattern = rule.lstrip("!").replace("**/", "*")
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern + "/*"):
                keep = rule.startswith("!")
        return keep

    return [name for name in names if seen(name)]


@pytest.mark.timeout(300)
def test_what_the_builder_sees_is_enough_and_no_more():
    """Both programs are made from it; secrets, history and what was made before stay outside."""
    files = context_files()
    tops = {name.split("/")[0] for name in files}
    assert tops == {"Makefile", "common", "schemas", "tests", "worker"}
    assert not [name for name in files if name.startswith(("worker/deploy", "tests/integration")) or name.endswith(".md")]
    context = BUILD / "test" / "docker-context"
    shutil.rmtree(context, ignore_errors=True)
    for name in files:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context / name)
    targets = re.search(r"make -j\S+ (.*?) *\\?$", DOCKERFILE, re.MULTILINE)[1].split()
    env = {name: value for name, value in clean_env().items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-j2", "BUILD=build", "CFLAGS=-O0", "SANITIZE=", *targets],
        cwd=context, env=env, capture_output=True, text=True, timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert all((context / target).exists() for target in targets)
    shutil.rmtree(context)


# ---- docker compose ----


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def test_compose_is_for_both_clients():
    """docker-compose 1.29 knows neither `name` nor `include`, nor some newer keys of services."""
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes"}
    understood = set(
        "build image environment volumes ports healthcheck restart stop_grace_period logging mem_limit depends_on command"
        " read_only cap_drop security_opt profiles".split()
    )
    for name, service in SERVICES.items():
        assert set(service) <= understood, name
        assert set(service.get("healthcheck", {})) <= {"test", "interval", "timeout", "retries", "start_period", "disable"}
        assert set(service.get("build", {})) <= {"context", "dockerfile", "target"}
        for dependency in service.get("depends_on", {}).values():
            assert set(dependency) == {"condition"}


def test_compose_workers_scale_and_are_confined():
    for name in ("worker", "migrate", "simulator"):
        service = SERVICES[name]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"] and service["mem_limit"]
    worker = SERVICES["worker"]
    assert not {"container_name", "ports", "hostname", "volumes"} & set(worker)  # two could not share them
    assert seconds(worker["stop_grace_period"]) >= STOP_SECONDS
    assert worker["restart"] == "unless-stopped"
    assert worker["healthcheck"]["test"] == ["CMD", "mms-worker", "probe"]


def test_compose_starts_in_order():
    """Tables and topics first; both wait until their servers are healthy."""
    after = {name: {on: how["condition"] for on, how in each.get("depends_on", {}).items()} for name, each in SERVICES.items()}
    done, healthy = "service_completed_successfully", "service_healthy"
    assert after["worker"] == {"migrate": done, "login": done, "topics": done, "simulator": healthy, "postgres": healthy, "kafka": healthy}
    assert (after["migrate"], after["topics"]) == ({"postgres": healthy}, {"kafka": healthy})
    assert after["login"] == {"migrate": done} and "restart" not in SERVICES["login"]
    for name in ("postgres", "kafka", "simulator"):
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES["migrate"]["image"] == SERVICES["worker"]["image"]
    assert "restart" not in SERVICES["migrate"] and "restart" not in SERVICES["topics"]
    assert SERVICES["prometheus"]["profiles"] == ["monitoring"]
    assert [name for name, each in SERVICES.items() if "profiles" in each] == ["prometheus"]


@pytest.mark.timeout(60)
def test_compose_makes_the_workers_login(system):
    """Twice; it may do what workers and operators do, with the password that compose gives it, and is no owner."""
    server, password = system.postgres, "it's \\ a secret"
    environment = {"PGHOST": server.host, "PGPORT": server.port, "PGUSER": "postgres", "PGDATABASE": system.database}
    login = SERVICES["worker"]["environment"]["PGUSER"]
    for _ in range(2):
        subprocess.run(SERVICES["login"]["command"], env=clean_env(**environment, LOGIN=password), check=True, timeout=20)
    try:
        url = server.url(system.database, login)
        assert system.command("check", database_url=url).status == 0
        assert system.command("destination", "list", database_url=url).status == 0
        assert system.value("select rolsuper or rolcreaterole from pg_roles where rolname = %s", login) is False
        assert not system.value("select pg_has_role(%s, 'postgres', 'member')", login)
    finally:
        system.query(f"drop role {login}")


def test_compose_keeps_data_and_shows_itself_to_this_machine_only():
    mounted = {volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", []) if volume[0] != "."}
    assert mounted == set(COMPOSE["volumes"]) == {"postgres", "kafka", "prometheus"}
    ports = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert len(ports) == 4 and all(port.startswith("127.0.0.1:${") for port in ports)
    for volume in (volume for each in SERVICES.values() for volume in each.get("volumes", []) if volume[0] == "."):
        assert volume.split(":")[0] == "./worker/deploy/prometheus" and volume.endswith(":ro")


def test_no_secret_is_on_a_command_line():
    for name, service in SERVICES.items():
        words = str([service.get("command"), service.get("healthcheck")])
        assert "PASSWORD" not in words and "URL" not in words, name
    assert ".env" in (ROOT / ".gitignore").read_text().replace("/.env", ".env").splitlines()


# ---- systemd ----


def unit(name):
    """A unit's settings: {section: {name: [values]}}."""
    sections = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            section.setdefault(key, []).append(value)
    return sections


CONFINED = """CapabilityBoundingSet= DynamicUser=yes LockPersonality=yes MemoryDenyWriteExecute=yes NoNewPrivileges=yes
    PrivateDevices=yes PrivateTmp=yes PrivateUsers=yes ProtectClock=yes ProtectControlGroups=yes ProtectHome=yes
    ProtectHostname=yes ProtectKernelLogs=yes ProtectKernelModules=yes ProtectKernelTunables=yes ProtectSystem=strict
    RestrictNamespaces=yes RestrictRealtime=yes RestrictSUIDSGID=yes SystemCallArchitectures=native LimitCORE=0"""


@pytest.mark.parametrize("name", ["mms-worker@.service", "mms-worker-migrate.service"])
def test_units_are_confined(name):
    """Also: secrets come from a file that only root can read, never from the unit."""
    service = unit(name)["Service"]
    for line in CONFINED.split():
        key, value = line.split("=", 1)
        assert service[key] == [value]
    assert "/etc/mms-worker/mms-worker.env" in service["EnvironmentFile"]
    assert not {"ExecStartPre", "PassEnvironment"} & set(service)


def test_the_workers_unit():
    """Several run side by side, stop cleanly, come back after a failure, and don't when their settings are wrong."""
    service = unit("mms-worker@.service")["Service"]
    assert service["ExecStart"] == ["/usr/local/bin/mms-worker run"]
    assert service["Environment"] == ["MMS_HTTP_LISTEN=127.0.0.1:%i"]
    assert service["KillSignal"] == ["SIGTERM"] and int(service["TimeoutStopSec"][0]) >= STOP_SECONDS
    assert (service["Restart"], service["RestartPreventExitStatus"]) == (["on-failure"], ["2"])
    assert unit("mms-worker@.service")["Install"]["WantedBy"] == ["multi-user.target"]


@pytest.mark.timeout(60)
def test_systemd_takes_the_units(tmp_path):
    """systemd-analyze finds no unknown name, no wrong value, and little exposure."""
    names = ["mms-worker@9464.service", "mms-worker-migrate.service"]
    for name in names:
        text = (SYSTEMD / name.replace(PORT, "")).read_text()
        (tmp_path / name).write_text(text.replace("/usr/local/bin/mms-worker", "/bin/true"))
    check = subprocess.run(["systemd-analyze", "verify", *names], cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert (check.returncode, check.stderr) == (0, "")
    for name in names:
        words = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", f"./{name}"]
        check = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=50)
        assert check.returncode == 0, check.stdout + check.stderr


# ---- Kubernetes ----


def pods():
    return {kind: manifests()[kind]["spec"]["template"]["spec"] for kind in ("Deployment", "Job")}


def test_the_kustomization_has_all_manifests():
    """Each file is listed, PodMonitor as a comment: its kind is not in every cluster. One object a file."""
    text = (KUBERNETES / "kustomization.yaml").read_text()
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(yaml.safe_load(text)["resources"]) == files - {"podmonitor.yaml"}
    assert "# - podmonitor.yaml" in text
    objects = manifests()
    assert len(objects) == len(files) + 1
    for kind, each in objects.items():
        assert "namespace" not in each.get("metadata", {}), kind
    images = {container["image"] for pod in pods().values() for container in pod["containers"]}
    assert images == {image["name"] for image in objects["Kustomization"]["images"]}


def test_manifests_refer_to_each_other():
    """Config maps and secrets by their names, pods by their labels, ports by their numbers."""
    objects = manifests()
    for kind, pod in pods().items():
        for container in pod["containers"]:
            sources = {key: ref["name"] for source in container["envFrom"] for key, ref in source.items()}
            assert sources == {
                "configMapRef": objects["ConfigMap"]["metadata"]["name"],
                "secretRef": objects["Secret-owner" if kind == "Job" else "Secret"]["metadata"]["name"],
            }, kind
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    (spread,) = pods()["Deployment"]["topologySpreadConstraints"]
    selectors = [objects[kind]["spec"]["selector"] for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor")]
    assert [each["matchLabels"] for each in [*selectors, spread["labelSelector"]]] == [labels] * 4
    assert objects["Job"]["spec"]["template"]["metadata"]["labels"] != labels  # not counted as a worker
    (worker,) = pods()["Deployment"]["containers"]
    (port,) = worker["ports"]
    annotations = objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert objects["ConfigMap"]["data"]["MMS_HTTP_LISTEN"] == f"0.0.0.0:{port['containerPort']}"
    assert annotations["prometheus.io/port"] == str(port["containerPort"]) == PORT
    probes = {name: worker[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
    assert probes == {
        "livenessProbe": {"path": "/healthz", "port": port["name"]},
        "readinessProbe": {"path": "/readyz", "port": port["name"]},
    }
    assert objects["PodMonitor"]["spec"]["podMetricsEndpoints"] == [{"port": port["name"], "path": "/metrics"}]


def test_pods_are_confined():
    for kind, pod in pods().items():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, f"{kind}: MMS_…_PORT of other services would stop the worker"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}
    assert pods()["Deployment"]["terminationGracePeriodSeconds"] >= STOP_SECONDS
    assert manifests()["Deployment"]["spec"]["replicas"] == 3
