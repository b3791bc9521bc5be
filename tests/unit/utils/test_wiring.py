"""The clients, by the settings."""

import base64
from typing import Any

from utils import wiring as dependencies
from utils.settings.loading import Settings, load_settings

KEY = base64.b64encode(bytes(32)).decode()


def configured(**variables: Any) -> Settings:
    """Return development settings; ``__`` in a name nests."""
    named = {f"SIGNIN_{name}": str(value) for name, value in variables.items()}
    keys = {"SIGNIN_KEYS__ACCOUNT": KEY, "SIGNIN_KEYS__CODE": f"c:{KEY}", "SIGNIN_KEYS__PAYLOAD": f"p:{KEY}"}
    return load_settings({"SIGNIN_ENVIRONMENT": "development"} | keys | named)


def test_access_holds_what_is_set() -> None:
    """All of Kafka's security settings reach its clients, and the password is not shown."""
    settings = configured(
        KAFKA__BOOTSTRAP_SERVERS="a:1, b:2",
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="scram-sha-512",
        KAFKA__SASL_USERNAME="worker",
        KAFKA__SASL_PASSWORD="hush",
    )
    access = dependencies.kafka_access(settings)

    assert access.bootstrap_servers == "a:1,b:2"
    assert (access.sasl_mechanism, access.username, access.password) == ("SCRAM-SHA-512", "worker", "hush")
    assert "hush" not in repr(access)
