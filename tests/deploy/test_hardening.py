"""No pod of the chart gives a reviewer a reason to object."""

from copy import deepcopy
from typing import Any

import pytest

from tests.deploy.chart import ENVIRONMENTS, EXAMPLES, Chart, Manifest, of_kind, only, pod
from tests.deploy.hardening import objections


@pytest.mark.parametrize("name", [*ENVIRONMENTS, *EXAMPLES])
def test_nothing_is_objected_to(chart: Chart, name: str) -> None:
    """All pods satisfy the restricted Pod Security Standard, and the rules of a linter."""
    manifests = chart.render(name)
    workloads = [*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")]

    assert len(workloads) > 1
    for workload in workloads:
        assert objections(pod(workload)) == [], workload["metadata"]["name"]


def _without(name: str) -> Any:
    return lambda pod: pod["containers"][0]["securityContext"].pop(name)


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        (lambda pod: pod.update(hostNetwork=True), "uses hostNetwork"),
        (lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "mounts a hostPath"),
        (lambda pod: pod["containers"][0]["ports"][0].update(hostPort=80), "takes port 80 of the host"),
        (_without("allowPrivilegeEscalation"), "may gain privileges"),
        (_without("capabilities"), "keeps capabilities"),
        (_without("readOnlyRootFilesystem"), "can write to its image"),
        (lambda pod: pod["securityContext"].pop("runAsNonRoot"), "may run as root"),
        (lambda pod: pod["securityContext"].pop("seccompProfile"), "has no seccomp profile"),
        (lambda pod: pod.pop("automountServiceAccountToken"), "has a token for the Kubernetes API"),
        (lambda pod: pod.pop("serviceAccountName"), "uses the namespace's default account"),
        (lambda pod: pod.pop("enableServiceLinks"), "gets a variable for each Service of the namespace"),
        (lambda pod: pod["containers"][0]["resources"].pop("limits"), "may use all memory of its node"),
        (lambda pod: pod["containers"][0].update(image="worker:latest"), "runs an image that moves"),
        (lambda pod: pod["containers"][0].pop("livenessProbe"), "has no livenessProbe"),
        (lambda pod: pod.pop("topologySpreadConstraints"), "may run on one node with all others"),
        (
            lambda pod: pod["containers"][0]["env"].append({"name": "SIGNIN_SMTP__PASSWORD", "value": "x"}),
            "has SIGNIN_SMTP__PASSWORD in its environment",
        ),
    ],
)
def test_each_rule_notices_what_it_is_for(chart: Chart, change: Any, objection: str) -> None:
    """A pod that breaks one rule has that objection, and no other."""
    broken: Manifest = deepcopy(pod(only(chart.render("minimal"), "Deployment")))
    change(broken)
    assert objections(broken) == [objection]
