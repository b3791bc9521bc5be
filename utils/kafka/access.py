"""Where the Kafka brokers are, and how to log in."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.ports import KafkaMisconfigured
from utils.kafka.auto_creation import create_no_topics

CLIENT_ID: Final = "signin-worker"


@dataclass(frozen=True)
class KafkaAccess:
    """The brokers' addresses and our credentials.

    ``cafile`` (PEM) replaces the system's trust store.
    """

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that all clients of aiokafka share.

        Reads the certificate files. Raises ``KafkaMisconfigured`` if one of them can't be used.
        """
        create_no_topics()

        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": CLIENT_ID,
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context(),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            return self._load_certificates()
        except OSError as error:  # ssl's own errors are of this kind, too
            names = ", ".join(name for name in (self.cafile, self.certfile, self.keyfile) if name)
            text = f"the certificates ({names}) can't be used: {type(error).__name__}"
            raise KafkaMisconfigured(f"{text}; correct SIGNIN_KAFKA__SSL_*, or the files") from None

    def _load_certificates(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)

        return context
