"""Apache Kafka itself: one KRaft node, from jars that Maven fetches once."""

import base64
import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from . import BUILD, ROOT, Unavailable, wait
from .client import MAX_MESSAGE_BYTES, Client
from .process import Process, clean_env, free_port, remove_dir

POM = ROOT / "tests" / "kafka" / "pom.xml"
HOME = BUILD / "kafka"
_DOWNLOADS = 3  # how often a failing download is tried
_OLDEST_JAVA = 11
DEFAULT_PARTITIONS = 12

# The JVM would leave a file per process in /tmp; the compiler that starts fastest is the right one for us.
_JVM = ["-XX:-UsePerfData", "-XX:TieredStopAtLevel=1"]

_SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions={partitions}
auto.create.topics.enable=true
message.max.bytes={max_message}
replica.fetch.max.bytes={max_message}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
# A group forms as soon as its first member is there, and may have a short session.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After a kill, the node waits for its own earlier registration to expire.
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
# Small: many topics with many partitions come and go in one test run.
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=16777216
"""

_LOG4J_PROPERTIES = """\
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File={log}
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d{{ISO8601}} %p %m (%c)%n
"""


@functools.cache
def find_java():
    """The java program: JAVA_HOME's, else PATH's. Unavailable if there is none that Kafka runs with."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise Unavailable("Apache Kafka needs Java, and there is none; try: tests/install-packages test")
    said = subprocess.run([java, "-XX:-UsePerfData", "-version"], stderr=subprocess.PIPE, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise Unavailable(f"Apache Kafka needs Java {_OLDEST_JAVA} or later; {java} says: {said.splitlines()[:1]}")
    return java


_failed_download = None


def libs():
    """The directory with Kafka's jars, fetched by Maven the first time. Safe when several processes ask at once.

    Raises Unavailable, and at once when it has failed before in this process.
    """
    global _failed_download
    if _failed_download is not None:
        raise Unavailable(_failed_download)
    target = HOME / "libs"
    HOME.mkdir(parents=True, exist_ok=True)
    with _locked(HOME / "lock"):
        if not _is_current(target):
            try:
                _fetch(target)
            except Unavailable as reason:
                _failed_download = str(reason)
                raise
    return target


@contextlib.contextmanager
def _locked(path):
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pom_digest():
    return hashlib.sha256(POM.read_bytes()).hexdigest()


def _is_current(target):
    """Whether the jars are all there, and for the pom.xml as it is now."""
    with contextlib.suppress(FileNotFoundError):
        return (target / "fetched-for").read_text(encoding="ascii") == _pom_digest()
    return False


def _fetch(target):
    if shutil.which("mvn") is None:
        raise Unavailable("Apache Kafka's jars are fetched with Maven, and there is no mvn; try: tests/install-packages test")
    print(f"Fetching Apache Kafka's jars with Maven into {target} (once, about 50 MB) …", flush=True)
    partial = HOME / "libs.partial"
    for attempt in range(1, _DOWNLOADS + 1):
        remove_dir(partial)
        if _run_maven(partial):
            break
        if attempt == _DOWNLOADS:
            raise Unavailable(f"Maven can't fetch Apache Kafka's jars: {_maven_complaint()} (all of it: {HOME}/maven.log)")
        time.sleep(attempt)  # not a wait for anything of ours: gives a busy server a moment
    (partial / "fetched-for").write_text(_pom_digest(), encoding="ascii")
    remove_dir(target)
    partial.rename(target)
    remove_dir(HOME / "m2")  # as large again, and of no more use


def _run_maven(target):
    """One try. Everything Maven makes is below HOME, so that nothing is left in the user's ~/.m2 or in /tmp."""
    scratch = HOME / "tmp"
    scratch.mkdir(exist_ok=True)
    (HOME / "maven.log").unlink(missing_ok=True)
    # Relative to HOME, for MAVEN_OPTS knows no quotes and HOME may have blanks in it.
    options = " ".join([os.environ.get("MAVEN_OPTS", ""), *_JVM, f"-Djava.io.tmpdir={scratch.name}"])
    argv = ["mvn", "--batch-mode", "-Dstyle.color=never", "--no-transfer-progress", "--file", POM]
    argv += [f"-Dmaven.repo.local={HOME / 'm2'}", "dependency:copy-dependencies"]
    argv += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    environment = {**os.environ, "MAVEN_OPTS": options}
    try:
        with Process(argv, env=environment, log_path=HOME / "maven.log", cwd=HOME) as maven:
            return maven.wait(600) == 0
    except wait.TimedOut:
        return False
    finally:
        remove_dir(scratch)


def _maven_complaint():
    """Maven's first error, in one line, or else the last line that it wrote."""
    log = (HOME / "maven.log").read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("[ERROR]").strip() for line in log if line.startswith("[ERROR]")]
    return (errors or log[-1:] or ["it said nothing"])[0][:400]


class Kafka(Client):
    """One node, broker and controller, on free ports of 127.0.0.1; topics get 12 partitions unless they say otherwise.

    dir       log files go there, and data, which close() removes
    settings  server.properties, over the defaults here
    Not running until start(); a context manager starts and closes. Stop and start keep the port and the data.
    """

    def __init__(self, dir, settings=None):
        self.dir = Path(dir).resolve()
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._controller_port = free_port()
        self._settings = dict(settings or {})
        self._format_more = []  # arguments for when the data directory is made
        self._process = None
        self._formatted = False

    @property
    def pid(self):
        """Of the Java process."""
        return self._process.pid

    @property
    def alive(self):
        """Whether Kafka runs."""
        return self._process is not None and self._process.alive

    def start(self, timeout=60.0):
        """Starts Kafka and waits until it answers for its topics and makes new ones."""
        if self.alive:
            return self
        if not self._formatted:
            self._format()
        self._process = self._java("kafka.Kafka", self.dir / "server.properties", log="kafka.out")
        wait.until(self._answers, timeout, "Kafka to make a topic", ignore=(KafkaException,), interval=0.1)
        return self

    def _answers(self):
        """A node that has just started answers before it takes part; only a new topic shows that it does."""
        if not self._process.alive:
            raise RuntimeError(f"Kafka did not start:\n{self._process.log_tail()}\n{self._log_tail()}")
        self._create("harness-is-up", 1, {}, exist_ok=True, timeout=3.0)
        return self.partitions("harness-is-up", timeout=3.0)

    def _log_tail(self):
        with contextlib.suppress(FileNotFoundError):
            return "\n".join((self.dir / "kafka.log").read_text(errors="replace").splitlines()[-20:])
        return ""

    def _format(self):
        """Writes the configuration and gives the empty data directory its identity."""
        for name in ("data", "tmp"):
            remove_dir(self.dir / name)
            (self.dir / name).mkdir(parents=True)
        (self.dir / "server.properties").write_text(self._properties(), encoding="utf-8")
        log4j = _LOG4J_PROPERTIES.format(log=self.dir / "kafka.log")
        (self.dir / "log4j.properties").write_text(log4j, encoding="utf-8")
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # As one argument: an id may begin with a dash.
        argv = ["format", f"--cluster-id={cluster_id}", "--config", self.dir / "server.properties", *self._format_more]
        with self._java("kafka.tools.StorageTool", *argv, log="format.out") as process:
            if process.wait(60) != 0:
                raise RuntimeError(f"Kafka can't format its storage:\n{process.log_tail()}")
        self._formatted = True

    def _properties(self):
        text = _SERVER_PROPERTIES.format(
            port=self.port,
            controller_port=self._controller_port,
            data=self.dir / "data",
            partitions=DEFAULT_PARTITIONS,
            max_message=MAX_MESSAGE_BYTES,
        )
        return text + "".join(f"{name}={value}\n" for name, value in self._settings.items())

    def _java(self, main, *arguments, log):
        argv = [find_java(), "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", *_JVM]
        argv += [f"-Djava.io.tmpdir={self.dir / 'tmp'}", f"-Dlog4j.configuration=file:{self.dir / 'log4j.properties'}"]
        argv += ["-cp", f"{libs()}/*", main, *arguments]
        return Process(argv, env=clean_env(), log_path=self.dir / log, cwd=self.dir, name=main)

    def stop(self, timeout=60.0):
        """Stops Kafka in good order. Data stay."""
        if self._process is not None:
            self._process.stop(timeout=timeout)

    def kill(self):
        """Ends Kafka with SIGKILL. Data stay, as far as they were written."""
        if self._process is not None:
            self._process.kill()

    def restart(self):
        """stop() and start(): same port, same data."""
        self.stop()
        return self.start()

    def close(self):
        """Ends Kafka and removes its data. Log files stay."""
        self.close_client()
        self.kill()
        self._formatted = False
        for name in ("data", "tmp"):
            remove_dir(self.dir / name)

    def create_topic(self, name, partitions=DEFAULT_PARTITIONS, config=None, timeout=15.0):
        """Makes a topic and waits until it can be used. config: {"retention.ms": …}. An existing one is an error."""
        self._create(name, partitions, config or {}, exist_ok=False, timeout=timeout)
        self.partitions(name, timeout)

    def _create(self, name, partitions, config, exist_ok, timeout):
        admin = AdminClient(self._config())
        topic = NewTopic(name, partitions, 1, config={key: str(value) for key, value in config.items()})
        try:
            admin.create_topics([topic], request_timeout=timeout, operation_timeout=timeout)[name].result(timeout + 1)
        except KafkaException as error:
            if not exist_ok or error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, error, trace):
        self.close()
