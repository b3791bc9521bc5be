"""Where the Kafka brokers are, and how to log in."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from weakref import WeakSet

from aiokafka.abc import AbstractTokenProvider

from consumers.ports import KafkaMisconfigured
from utils.files import Reloaded, Secret, reveal
from utils.kafka.auto_creation import create_no_topics
from utils.kafka.connections import report_closed_transports

CLIENT_ID: Final = "signin-worker"


@dataclass(frozen=True)
class KafkaAccess:
    """The brokers' addresses and our credentials.

    ``cafile`` (PEM) replaces the system's trust store. ``tokens`` are those of OAUTHBEARER.
    The files may change at any time (docs/adr/0021).
    """

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    tokens: AbstractTokenProvider | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that all clients of aiokafka share.

        Raises ``KafkaMisconfigured`` if the certificate files can't be used and never could.
        """
        create_no_topics()
        report_closed_transports()

        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": CLIENT_ID,
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username,
            "sasl_oauth_token_provider": self.tokens,
            **self._credentials(),
        }

    def follow(self, client: Any) -> None:
        """Give an ``AIOKafkaClient`` the new credentials whenever ``refresh`` finds some.

        It uses them for its next connection. Those that are open stay open.
        """
        self._clients.add(client)

    def refresh(self) -> None:
        """Read the files again, and pass on what is new."""
        try:
            credentials = self._credentials()
        except KafkaMisconfigured:
            return  # whoever needs them says so

        for client in self._clients:  # aiokafka copies these attributes into each new connection
            for name, value in credentials.items():
                setattr(client, f"_{name}", value)

    @property
    def certificate_files(self) -> Sequence[Reloaded[Any]]:
        """The certificates, if there are any."""
        return [self._tls] if self._uses_tls else []

    def _credentials(self) -> dict[str, Any]:
        return {
            "ssl_context": self._certificates(),
            "sasl_plain_password": None if self.password is None else reveal(self.password),
        }

    def _certificates(self) -> ssl.SSLContext | None:
        try:
            return self._tls.value()
        except (OSError, ValueError) as error:  # ssl's own errors are of the first kind
            names = ", ".join(name for name in (self.cafile, self.certfile, self.keyfile) if name)
            text = f"the certificates ({names}) can't be used: {type(error).__name__}"
            raise KafkaMisconfigured(f"{text}; correct SIGNIN_KAFKA__SSL_*, or the files") from None

    @cached_property
    def _clients(self) -> WeakSet[Any]:
        return WeakSet()

    @cached_property
    def _tls(self) -> Reloaded[ssl.SSLContext | None]:
        named = (self.cafile, self.certfile, self.keyfile)
        paths = [path for path in named if path is not None and self._uses_tls]
        return Reloaded("Kafka certificates", paths, self._tls_context)

    @property
    def _uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def _tls_context(self) -> ssl.SSLContext | None:
        if not self._uses_tls:
            return None

        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile, password=lambda: "")  # else OpenSSL asks a person

        return context
