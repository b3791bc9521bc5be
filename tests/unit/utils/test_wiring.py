"""The clients, as the settings describe them."""

import base64
from pathlib import Path
from typing import Any

import pytest
from temporalio.runtime import Runtime

from deploy.local.servers.backends import Temporal
from utils.kafka.oauth import ClientCredentials
from utils.prometheus import Metrics
from utils.settings.environment import secret_files
from utils.settings.loading import Settings, load_settings
from utils.wiring import Wiring

KEY = base64.b64encode(bytes(32)).decode()


def wired(**variables: Any) -> Wiring:
    """Return the wiring of development settings, as the composition root does; ``__`` in a name nests."""
    named = {f"SIGNIN_{name}": str(value) for name, value in variables.items()}
    keys = {"SIGNIN_KEYS__ACCOUNT": KEY, "SIGNIN_KEYS__CODE": f"c:{KEY}", "SIGNIN_KEYS__PAYLOAD": f"p:{KEY}"}
    environ = {"SIGNIN_ENVIRONMENT": "development"} | keys | named
    return Wiring(load_settings(environ), (), secret_files(environ, Settings))


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


async def test_a_password_in_a_file_reaches_the_kafka_clients_when_it_changes(tmp_path: Path) -> None:
    """A password in a variable never changes; one in a file is read when it is used."""
    file = tmp_path / "password"
    file.write_text("first")
    wiring = wired(
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT", KAFKA__SASL_USERNAME="worker", KAFKA__SASL_PASSWORD_FILE=file
    )
    file.write_text("second")
    await wiring.refresh_credentials()

    assert wiring.kafka_access.options()["sasl_plain_password"] == "second"


async def test_every_secret_that_is_no_key_is_watched(tmp_path: Path) -> None:
    """What cannot be used is reported by the name of the variable, whichever client it belongs to."""
    names = ("KAFKA__OAUTH_CLIENT_SECRET", "SMTP__PASSWORD", "TURNSTILE__SECRET")
    for name in names:
        (tmp_path / name).write_text("first")
    wiring = wired(
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="oauthbearer",
        KAFKA__OAUTH_TOKEN_URL="http://127.0.0.1:1",
        KAFKA__OAUTH_CLIENT_ID="worker",
        SMTP__USERNAME="worker",
        **{f"{name}_FILE": tmp_path / name for name in names},
    )
    wiring.mailer()
    wiring.siteverify()
    metrics = Metrics()
    metrics.connections.watch_credentials(wiring.credential_files)
    (tmp_path / "SMTP__PASSWORD").write_text("")
    await wiring.refresh_credentials()

    shown = {
        name: metrics.registry.get_sample_value("signin_credentials_outdated", {"credentials": f"SIGNIN_{name}"})
        for name in names
    }
    assert shown == {names[0]: 0, names[1]: 1, names[2]: 0}


def test_tokens_are_used_instead_of_a_password() -> None:
    """OAUTHBEARER needs a token endpoint and the client's login there."""
    access = wired(
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="OAUTHBEARER",
        KAFKA__OAUTH_TOKEN_URL="http://127.0.0.1:1",
        KAFKA__OAUTH_CLIENT_ID="worker",
        KAFKA__OAUTH_CLIENT_SECRET="hush",
    ).kafka_access
    options = access.options()

    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert isinstance(options["sasl_oauth_token_provider"], ClientCredentials)
    assert "hush" not in repr(access)


async def test_a_worker_calls_temporal_once_and_commands_try_again(
    temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer's limit must hear of each call that is throttled, also after a renewal of credentials."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    wiring = wired()

    clients = [await wiring.worker_client(Runtime.default()), await wiring.temporal()]
    retries = [client.service_client.config.retry_config for client in clients]

    assert [retry.max_retries for retry in retries if retry is not None] == [1, 3]  # the first try counts, too
