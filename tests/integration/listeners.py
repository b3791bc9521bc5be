"""A broker with one more listener, whose protocol, settings and port a test chooses and may change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.places import LOOPBACK, free_ports
from deploy.local.servers.kafka import LocalKafka
from tests.fakes.authority import Authority

NAME: Final = "EXTRA"
_OWN: Final = ("listeners", "advertised.listeners", "listener.security.protocol.map")


class ExtraListener:
    """Listens at ``address``, besides the listener of the broker itself, which needs no login."""

    def __init__(self, protocol: str, settings: Mapping[str, str] | None = None) -> None:
        self.kafka = LocalKafka()
        self.address = ""
        self._protocol = protocol
        self._settings = dict(settings or {})
        self._properties: dict[str, str] = {}

    def start(self) -> None:
        """Start the broker."""
        self.kafka.start()
        self._properties = read_properties(self._file)
        self.move()

    def stop(self) -> None:
        """End the broker and remove its data."""
        self.kafka.stop()

    def move(self) -> None:
        """Start the broker again with its data, but with the listener on another port."""
        (port,) = free_ports(1)
        self.address = f"{LOOPBACK}:{port}"
        self.change({})

    def change(self, settings: Mapping[str, str]) -> None:
        """Start the broker again with its data and other settings of the listener. All connections are lost."""
        self.kafka.process.kill()
        self._settings |= settings
        added = with_listener(self._properties, self._protocol, self._settings, self.address, self.address)
        write_properties(self._file, added)
        self.kafka.start_again()

    @property
    def _file(self) -> Path:
        return self.kafka.process.folder / "server.properties"


def with_listener(
    properties: Mapping[str, str],
    protocol: str,
    settings: Mapping[str, str],
    address: str,
    advertised: str,
) -> dict[str, str]:
    """Return a broker's properties with one more listener at ``address``. Clients are told to use ``advertised``."""
    urls = (f"{NAME}://{address}", f"{NAME}://{advertised}", f"{NAME}:{protocol}")
    added = {name: f"{properties[name]},{value}" for name, value in zip(_OWN, urls, strict=True)}
    prefixed = {f"listener.name.{NAME.lower()}.{name}": value for name, value in settings.items()}
    return {**properties, **added, **prefixed}


def read_properties(file: Path) -> dict[str, str]:
    """Return what a file of properties says."""
    lines = (line.partition("=") for line in file.read_text().splitlines() if line)
    return {name: value for name, _, value in lines}


def write_properties(file: Path, properties: Mapping[str, str]) -> None:
    """Write a file of properties."""
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def tls(authority: Authority, folder: Path) -> dict[str, str]:
    """Return the settings of a listener that has a certificate and asks clients for theirs."""
    certificate, key = authority.issue("broker")
    keystore = folder / "broker.pem"
    keystore.write_bytes(key + certificate)

    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.cafile),
        "ssl.client.auth": "required",
    }


def passwords(**users: str) -> dict[str, str]:
    """Return the settings of a listener for logins with PLAIN."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    entries = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return {"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": f"{module} {entries};"}


def tokens(key_set_url: str, reauthenticate_ms: int) -> dict[str, str]:
    """Return the settings of a listener for logins with OAUTHBEARER, whose tokens are verified by this key set."""
    package = "org.apache.kafka.common.security.oauthbearer"
    return {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "oauthbearer.sasl.jaas.config": f"{package}.OAuthBearerLoginModule required;",
        "oauthbearer.sasl.server.callback.handler.class": f"{package}.OAuthBearerValidatorCallbackHandler",
        "oauthbearer.sasl.oauthbearer.jwks.endpoint.url": key_set_url,
        "oauthbearer.sasl.oauthbearer.expected.audience": "kafka",
        "oauthbearer.connections.max.reauth.ms": str(reauthenticate_ms),
    }
