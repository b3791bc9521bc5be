"""A certificate authority for tests: certificates for servers and clients on the loopback interface."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.local.places import LOOPBACK

_SKEW = datetime.timedelta(hours=1)
_DAY_S = 86_400.0


class Authority:
    """Issues certificates. ``cafile`` is what others must trust."""

    def __init__(self, folder: Path) -> None:
        self._name = _name("authority")
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(self._name, self._key, _DAY_S, is_authority=True)

        self.cafile = folder / "authority.pem"
        self.cafile.write_bytes(certificate)

    def issue(self, name: str, valid_s: float = _DAY_S) -> tuple[bytes, bytes]:
        """Return a certificate and its key (PEM), valid for so many seconds from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key, valid_s)
        return certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        valid_s: float,
        *,
        is_authority: bool = False,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]

        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + datetime.timedelta(seconds=valid_s))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
