"""Throwaway certificates: an authority, and what it vouches for."""

import datetime
import ipaddress
import itertools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("localhost", "127.0.0.1")
DAY = datetime.timedelta(days=1)


class Certificate:
    """Files in PEM: `certificate`, `key`, and `both` in one."""

    def __init__(self, directory, name, certificate, key):
        self.certificate, self.key, self.both = (directory / f"{name}{end}" for end in (".pem", ".key", ".both.pem"))
        text = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.certificate.write_bytes(text)
        for path, content in ((self.key, secret), (self.both, secret + text)):
            path.touch(mode=0o600)
            path.write_bytes(content)


class Authority:
    """Vouches for certificates. `path` is its own, for who shall believe it; all files go to the directory."""

    def __init__(self, directory, name="authority"):
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._name = name
        self._numbers = itertools.count()
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(*[False] * 5, True, True, False, False)  # signs certificates and revocations
        extensions = [x509.BasicConstraints(True, 0), usage]
        own = self._make(name, self._key, -DAY, DAY, extensions)
        self.path = Certificate(directory, name, own, self._key).certificate

    def issue(self, name="server", hosts=HOSTS, begins=-DAY, ends=DAY):
        """A certificate of a server with these names and addresses, or of a client: its name is who it is.

        begins, ends: from now. The file names are its name and a number.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_host(host) for host in hosts]
        extensions = [x509.SubjectAlternativeName(names)] if names else []
        made = self._make(name, key, begins, ends, extensions)
        return Certificate(self._directory, f"{self._name}-{name}-{next(self._numbers)}", made, key)

    def _make(self, name, key, begins, ends, extensions):
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def _name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _host(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
