"""The environment chooses which Kafka and which Temporal are used."""

from pathlib import Path

import pytest

from deploy.local.servers.backends import choose_kafka, choose_temporal, described
from deploy.local.places import LOOPBACK, StackError, free_ports


def test_child_processes_are_the_default() -> None:
    """Without any variable, Kafka and Temporal are child processes."""
    assert type(choose_kafka({})).__name__ == "LocalKafka"
    assert type(choose_temporal({})).__name__ == "LocalTemporal"
    assert described({}).startswith("Kafka: a child process; Temporal: a child process")


def test_there_are_one_or_three_brokers() -> None:
    """``SIGNIN_TEST_BROKERS=3`` asks for a cluster. Two brokers tolerate nothing, so two is an error."""
    cluster = {"SIGNIN_TEST_BROKERS": "3"}
    assert type(choose_kafka(cluster)).__name__ == "LocalKafka"
    assert described(cluster).startswith("Kafka: three child processes; Temporal: a child process")
    with pytest.raises(StackError, match="use 1 or 3"):
        choose_kafka({"SIGNIN_TEST_BROKERS": "2"})


def test_docker_is_mentioned_where_it_is_installed() -> None:
    """The description names the variable, unless it is set or no server is started anyway."""
    docker = {"DOCKER_HOST": "unix:///somewhere"}
    given = {"SIGNIN_TEST_KAFKA": "one:1", "SIGNIN_TEST_TEMPORAL": "other:2"}
    assert "SIGNIN_TEST_BACKEND=docker" in described(docker)
    assert "SIGNIN_TEST_BACKEND=docker" in described(docker | {"SIGNIN_TEST_KAFKA": "one:1"})
    assert "SIGNIN_TEST_BACKEND" not in described(docker | {"SIGNIN_TEST_BACKEND": "local"})
    assert "SIGNIN_TEST_BACKEND" not in described(docker | given)


def test_containers_are_used_on_request() -> None:
    """``SIGNIN_TEST_BACKEND=docker`` chooses containers, without starting them."""
    environment = {"SIGNIN_TEST_BACKEND": "docker"}
    kafka = choose_kafka(environment)
    temporal = choose_temporal(environment)

    assert (type(kafka).__name__, type(temporal).__name__) == ("KafkaContainer", "TemporalContainer")
    kafka.stop()
    temporal.stop()
    assert described(environment) == "Kafka: a container; Temporal: a container"


def test_given_addresses_take_precedence_and_must_answer() -> None:
    """An address where nothing answers is an error that names the variable to correct."""
    one, other = free_ports(2)
    environment = {
        "SIGNIN_TEST_BACKEND": "docker",
        "SIGNIN_TEST_KAFKA": f"{LOOPBACK}:{one}",
        "SIGNIN_TEST_TEMPORAL": f"{LOOPBACK}:{other}",
    }

    assert described(environment) == f"Kafka: {LOOPBACK}:{one}; Temporal: {LOOPBACK}:{other}"

    kafka = choose_kafka(environment)
    temporal = choose_temporal(environment)

    with pytest.raises(StackError, match="SIGNIN_TEST_KAFKA"):
        kafka.start()

    with pytest.raises(StackError, match="SIGNIN_TEST_TEMPORAL"):
        temporal.start()

    kafka.stop()
    temporal.stop()


def test_an_unknown_backend_is_an_error() -> None:
    """The error lists the backends."""
    with pytest.raises(StackError, match="local or docker"):
        choose_kafka({"SIGNIN_TEST_BACKEND": "podman"})


def test_a_malformed_address_is_an_error() -> None:
    """An address without a port is reported like one where nothing answers."""
    with pytest.raises(StackError, match="No Kafka answers at nowhere"):
        choose_kafka({"SIGNIN_TEST_KAFKA": "nowhere"}).start()


def test_a_docker_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the image, and the variable to unset to do without Docker."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    environment = {"SIGNIN_TEST_BACKEND": "docker"}
    with pytest.raises(StackError, match=r"apache/kafka:.* SIGNIN_TEST_BACKEND"):
        choose_kafka(environment).start()
    with pytest.raises(StackError, match=r"temporalio/temporal:.* SIGNIN_TEST_BACKEND"):
        choose_temporal(environment).start()
