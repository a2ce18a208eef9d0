"""Apache Kafka that wants TLS and a password of everybody, and lets them do what they were allowed."""

from .kafka import Kafka

ADMIN = "admin"
_LOGIN = "org.apache.kafka.common.security.{}LoginModule required"


class SecureKafka(Kafka):
    """A Kafka with one listener, SASL_SSL. What this object does, it does as an administrator, who may do anything.

    certificate  of certificates.py, that the broker shows
    ca_path      what its clients shall believe
    users        {name: password}; they may log in by PLAIN and SCRAM-SHA-512, and have no rights until allow()
    """

    def __init__(self, dir, certificate, ca_path, users):
        super().__init__(dir)
        self._ca_path = ca_path
        passwords = {ADMIN: "the-administrators-password", **users}
        self._password = passwords[ADMIN]
        plain = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
        broker = f'username="{ADMIN}" password="{self._password}"'
        self._settings |= {
            "listeners": f"SASL_SSL://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_LOGIN.format('plain.Plain')} {broker} {plain};",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_LOGIN.format('scram.Scram')};",
            # PEM, so that nobody needs Java's keytool.
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": certificate.both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": ca_path,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the controller's listener knows no names
        }
        for name, password in users.items():
            self._format_more += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]

    def _config(self, **extra):
        return super()._config(**{**self.login(ADMIN, self._password), **extra})

    def login(self, name, password, mechanism="PLAIN"):
        """librdkafka's properties for who comes as this user."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self._ca_path),
            "sasl.mechanism": mechanism,
            "sasl.username": name,
            "sasl.password": password,
        }

    def allow(self, name, operation, topics=(), groups=()):
        """Lets a user do something with topics and groups."""
        client = self.dir / "admin.properties"
        client.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.type=PEM\n"
            f"ssl.truststore.location={self._ca_path}\n"
            f'sasl.jaas.config={_LOGIN.format("plain.Plain")} username="{ADMIN}" password="{self._password}";\n'
        )
        argv = ["--bootstrap-server", self.bootstrap, "--command-config", client, "--add", "--force"]
        argv += ["--allow-principal", f"User:{name}", "--operation", operation]
        argv += [word for topic in topics for word in ("--topic", topic)]
        argv += [word for group in groups for word in ("--group", group)]
        with self._java("kafka.admin.AclCommand", *argv, log="acls.out") as process:
            if process.wait(60) != 0:
                raise RuntimeError(f"Kafka's rights can't be changed:\n{process.log_tail()}")
