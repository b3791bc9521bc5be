"""Which Kafka and which Temporal are used follows from the environment."""

from pathlib import Path

import pytest

from deploy.local.servers.backends import choose_kafka, choose_temporal, described
from deploy.local.places import LOOPBACK, StackError, free_ports


def test_child_processes_unless_told_otherwise() -> None:
    """Nothing set: both are child processes."""
    assert type(choose_kafka({})).__name__ == "LocalKafka"
    assert type(choose_temporal({})).__name__ == "LocalTemporal"
    assert described({}).startswith("Kafka: a child process; Temporal: a child process")


def test_whoever_has_docker_is_told_of_the_choice() -> None:
    """The line names the variable, unless the choice was made or nothing is started anyway."""
    here = {"DOCKER_HOST": "unix:///somewhere"}
    given = {"SIGNIN_TEST_KAFKA": "one:1", "SIGNIN_TEST_TEMPORAL": "other:2"}
    assert "SIGNIN_TEST_BACKEND=docker" in described(here)
    assert "SIGNIN_TEST_BACKEND=docker" in described(here | {"SIGNIN_TEST_KAFKA": "one:1"})
    assert "SIGNIN_TEST_BACKEND" not in described(here | {"SIGNIN_TEST_BACKEND": "local"})
    assert "SIGNIN_TEST_BACKEND" not in described(here | given)


def test_containers_when_asked_for() -> None:
    """SIGNIN_TEST_BACKEND=docker chooses containers; nothing is started by choosing."""
    environment = {"SIGNIN_TEST_BACKEND": "docker"}
    kafka, temporal = choose_kafka(environment), choose_temporal(environment)
    assert (type(kafka).__name__, type(temporal).__name__) == ("KafkaContainer", "TemporalContainer")
    kafka.stop()
    temporal.stop()
    assert described(environment) == "Kafka: a container; Temporal: a container"


def test_given_addresses_come_first_and_must_answer() -> None:
    """An address of nobody is an error that names the variable to correct."""
    one, other = free_ports(2)
    environment = {
        "SIGNIN_TEST_BACKEND": "docker",
        "SIGNIN_TEST_KAFKA": f"{LOOPBACK}:{one}",
        "SIGNIN_TEST_TEMPORAL": f"{LOOPBACK}:{other}",
    }

    assert described(environment) == f"Kafka: {LOOPBACK}:{one}; Temporal: {LOOPBACK}:{other}"

    kafka, temporal = choose_kafka(environment), choose_temporal(environment)

    with pytest.raises(StackError, match="SIGNIN_TEST_KAFKA"):
        kafka.start()

    with pytest.raises(StackError, match="SIGNIN_TEST_TEMPORAL"):
        temporal.start()

    kafka.stop()
    temporal.stop()


def test_an_unknown_backend_is_an_error() -> None:
    """The error names what can be chosen."""
    with pytest.raises(StackError, match="local or docker"):
        choose_kafka({"SIGNIN_TEST_BACKEND": "podman"})


def test_a_malformed_address_is_an_error() -> None:
    """An address without a port is as good as nobody's."""
    with pytest.raises(StackError, match="No Kafka answers at nowhere"):
        choose_kafka({"SIGNIN_TEST_KAFKA": "nowhere"}).start()


def test_docker_that_is_not_there_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a Docker that answers, the error names the image and how to go without Docker."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    environment = {"SIGNIN_TEST_BACKEND": "docker"}
    with pytest.raises(StackError, match=r"apache/kafka:.* SIGNIN_TEST_BACKEND"):
        choose_kafka(environment).start()
    with pytest.raises(StackError, match=r"temporalio/temporal:.* SIGNIN_TEST_BACKEND"):
        choose_temporal(environment).start()
