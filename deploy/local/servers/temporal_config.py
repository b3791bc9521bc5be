"""The configuration files of a Temporal cluster: one for each service, and one of dynamic settings for all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.places import LOOPBACK
from deploy.local.servers.postgres import USER

SERVICES: Final = ("frontend", "history", "matching", "worker")
HISTORY_SHARDS: Final = 128
STORES: Final = {"temporal": "temporal", "temporal_visibility": "visibility"}
"""The databases, and which of the server's schemas each one has."""

PLUGIN: Final = "postgres12"
_DEFAULT_STORE: Final = "temporal"
_CONNECTIONS: Final = {"temporal": 20, "temporal_visibility": 10}


@dataclass(frozen=True)
class ServicePorts:
    """The ports of one service: of its calls, of its membership of the cluster, and of its metrics."""

    calls: int
    membership: int
    metrics: int


def written(folder: Path, ports: Mapping[str, ServicePorts], http_port: int, database_port: int) -> dict[str, Path]:
    """Write a file for each service and return their paths. JSON is YAML, too."""
    services = {name: {"rpc": _rpc(own)} for name, own in ports.items()}
    services["frontend"]["rpc"]["httpPort"] = http_port
    frontend = f"{LOOPBACK}:{ports['frontend'].calls}"
    paths = {}

    for name, own in ports.items():
        paths[name] = folder / f"{name}.yaml"
        config = {
            "log": {"stdout": True, "level": "error"},
            "persistence": _persistence(database_port),
            "global": _global(own.metrics),
            "services": services,
            "clusterMetadata": _cluster_metadata(frontend),
            "dcRedirectionPolicy": {"policy": "noop"},
            "publicClient": {"hostPort": frontend},
            "archival": {"history": {"state": "disabled"}, "visibility": {"state": "disabled"}},
            "dynamicConfigClient": {"filepath": str(_dynamic_file(folder)), "pollInterval": "10s"},
        }
        paths[name].write_text(json.dumps(config, indent=1))

    return paths


def write_dynamic(folder: Path, settings: Mapping[str, str]) -> None:
    """Write the dynamic settings of all services. A value is read as JSON where it is that, otherwise as text."""
    values = {name: [{"value": _parsed(text), "constraints": {}}] for name, text in settings.items()}
    _dynamic_file(folder).write_text(json.dumps(values, indent=1))


def _dynamic_file(folder: Path) -> Path:
    return folder / "dynamic.yaml"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _rpc(ports: ServicePorts) -> dict[str, Any]:
    return {"grpcPort": ports.calls, "membershipPort": ports.membership, "bindOnLocalHost": True}


def _global(metrics_port: int) -> dict[str, Any]:
    prometheus = {"timerType": "histogram", "listenAddress": f"{LOOPBACK}:{metrics_port}"}
    membership = {"maxJoinDuration": "30s", "broadcastAddress": LOOPBACK}
    return {"membership": membership, "metrics": {"prometheus": prometheus}}


def _persistence(database_port: int) -> dict[str, Any]:
    stores = {name: {"sql": _store(name, database_port)} for name in STORES}
    return {
        "defaultStore": _DEFAULT_STORE,
        "visibilityStore": "temporal_visibility",
        "numHistoryShards": HISTORY_SHARDS,
        "datastores": stores,
    }


def _store(database: str, port: int) -> dict[str, Any]:
    connections = _CONNECTIONS[database]
    return {
        "pluginName": PLUGIN,
        "databaseName": database,
        "connectAddr": f"{LOOPBACK}:{port}",
        "connectProtocol": "tcp",
        "user": USER,
        "password": "",
        "maxConns": connections,
        "maxIdleConns": connections,
        "maxConnLifetime": "1h",
    }


def _cluster_metadata(frontend: str) -> dict[str, Any]:
    active = {"enabled": True, "initialFailoverVersion": 1, "rpcName": "frontend", "rpcAddress": frontend}
    return {
        "enableGlobalNamespace": False,
        "failoverVersionIncrement": 10,
        "masterClusterName": "active",
        "currentClusterName": "active",
        "clusterInformation": {"active": active},
    }
