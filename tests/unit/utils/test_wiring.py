"""The clients, as the settings describe them."""

import base64
from typing import Any

from utils.settings.loading import load_settings
from utils.wiring import Wiring

KEY = base64.b64encode(bytes(32)).decode()


def wired(**variables: Any) -> Wiring:
    """Return the wiring of development settings; ``__`` in a name nests."""
    named = {f"SIGNIN_{name}": str(value) for name, value in variables.items()}
    keys = {"SIGNIN_KEYS__ACCOUNT": KEY, "SIGNIN_KEYS__CODE": f"c:{KEY}", "SIGNIN_KEYS__PAYLOAD": f"p:{KEY}"}
    return Wiring(load_settings({"SIGNIN_ENVIRONMENT": "development"} | keys | named))


def test_all_security_settings_reach_the_kafka_clients() -> None:
    """Kafka's clients get every security setting, and the password does not show in a log."""
    wiring = wired(
        KAFKA__BOOTSTRAP_SERVERS="a:1, b:2",
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="scram-sha-512",
        KAFKA__SASL_USERNAME="worker",
        KAFKA__SASL_PASSWORD="hush",
    )
    access = wiring.kafka_access

    assert access.bootstrap_servers == "a:1,b:2"
    assert (access.sasl_mechanism, access.username, access.password) == ("SCRAM-SHA-512", "worker", "hush")
    assert "hush" not in repr(access)
