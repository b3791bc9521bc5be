"""Kubernetes and the operators accept what the chart makes, by their own schemas."""

import json
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped] # it has no types
import kubernetes_validate
import pytest

from deploy.local.places import PROJECT
from tests.deploy.chart import ENVIRONMENTS, EXAMPLES, Chart, Manifest

_OLDEST: Final = "1.27"  # Chart.yaml: kubeVersion
_NEWEST: Final = "1.37"
_CUSTOM: Final = {
    (each["apiVersion"], each["kind"]): each["schema"]
    for each in (json.loads(file.read_text()) for file in (PROJECT / "tests" / "deploy" / "crds").glob("*.json"))
}


def _strict(schema: Any) -> Any:
    """Return a schema that refuses unknown members, as ``kubectl apply`` does for a custom resource."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema

    stricter = {name: _strict(each) for name, each in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        stricter.pop("type", None)
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        open_to_all = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_to_all:
            stricter["additionalProperties"] = False

    return stricter


def _check(manifest: Manifest, version: str) -> None:
    custom = _CUSTOM.get((manifest["apiVersion"], manifest["kind"]))
    if custom is None:
        kubernetes_validate.validate(manifest, version, strict=True)
        return

    bare = manifest | {"metadata": {}}  # Kubernetes checks the metadata itself
    jsonschema.validate(bare, _strict(custom))


@pytest.mark.parametrize("version", [_OLDEST, _NEWEST])
@pytest.mark.parametrize("name", [*ENVIRONMENTS, *EXAMPLES])
def test_the_schemas_accept_every_manifest(chart: Chart, name: str, version: str) -> None:
    """The oldest and the newest Kubernetes know every member; no custom resource is unknown here."""
    for manifest in chart.render(name):
        _check(manifest, version)


def test_everything_is_switched_on(chart: Chart) -> None:
    """The values with everything make each custom resource for which there is a schema."""
    made = {(each["apiVersion"], each["kind"]) for each in chart.render("everything")}
    assert set(_CUSTOM) < made


@pytest.mark.parametrize("kind", ["Deployment", "PodMonitor", "ScaledObject", "KafkaUser"])
def test_an_unknown_member_is_noticed(chart: Chart, kind: str) -> None:
    """The check itself works: a misspelt member fails it."""
    manifest = next(each for each in chart.render("everything") if each["kind"] == kind)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        _check(manifest | {"spec": manifest["spec"] | {"replicsa": 1}}, _NEWEST)
