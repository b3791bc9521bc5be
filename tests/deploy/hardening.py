"""What a reviewer would object to in a pod: the restricted Pod Security Standard, and what kube-linter looks for.

Source of the first: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Callable, Iterator
from typing import Final

from tests.deploy.chart import Manifest

_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")
_VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_RESTRICTED_UNSET: Final = ("seLinuxOptions", "windowsOptions", "sysctls", "procMount")
_SECRET_WORDS: Final = ("PASSWORD", "SECRET", "API_KEY", "_KEYS__", "TOKEN")


def objections(pod: Manifest) -> list[str]:
    """Return what is wrong with a pod's ``spec``."""
    return [objection for rule in _RULES for objection in rule(pod)]


def _containers(pod: Manifest) -> Iterator[Manifest]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, [])


def _contexts(pod: Manifest) -> Iterator[Manifest]:
    yield pod.get("securityContext", {})
    for container in _containers(pod):
        yield container.get("securityContext", {})


def _shares_nothing_with_the_host(pod: Manifest) -> Iterator[str]:
    yield from (f"uses {name}" for name in _HOST if pod.get(name))
    for volume in pod.get("volumes", []):
        yield from (f"mounts a {kind}" for kind in set(volume) - {"name"} - _VOLUMES)
    for container in _containers(pod):
        yield from (
            f"takes port {port['hostPort']} of the host" for port in container.get("ports", []) if "hostPort" in port
        )


def _has_no_privileges(pod: Manifest) -> Iterator[str]:
    for container in _containers(pod):
        context = container.get("securityContext", {})
        capabilities = context.get("capabilities", {})

        if context.get("privileged"):
            yield "is privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield "may gain privileges"
        if "ALL" not in capabilities.get("drop", []):
            yield "keeps capabilities"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield "adds capabilities"
        if context.get("readOnlyRootFilesystem") is not True:
            yield "can write to its image"

    for context in _contexts(pod):
        yield from (f"sets {name}" for name in _RESTRICTED_UNSET if context.get(name))


def _is_not_root(pod: Manifest) -> Iterator[str]:
    shared = pod.get("securityContext", {})
    for container in _containers(pod):
        context = shared | container.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            yield "may run as root"
        if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield "has no seccomp profile"


def _has_no_token(pod: Manifest) -> Iterator[str]:
    if pod.get("automountServiceAccountToken") is not False:
        yield "has a token for the Kubernetes API"
    if pod.get("serviceAccountName", "default") == "default":
        yield "uses the namespace's default account"
    if pod.get("enableServiceLinks") is not False:
        yield "gets a variable for each Service of the namespace"


def _says_what_it_needs(pod: Manifest) -> Iterator[str]:
    for container in _containers(pod):
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})):
            yield "does not request CPU and memory"
        if "memory" not in resources.get("limits", {}):
            yield "may use all memory of its node"
        if ":latest" in container["image"] or "@" not in container["image"] and ":" not in container["image"]:
            yield "runs an image that moves"


def _can_be_watched(pod: Manifest) -> Iterator[str]:
    if pod.get("restartPolicy", "Always") != "Always":
        return

    for container in _containers(pod):
        yield from (f"has no {kind}" for kind in ("livenessProbe", "readinessProbe") if kind not in container)
    if not pod.get("topologySpreadConstraints"):
        yield "may run on one node with all others"


def _holds_no_secret(pod: Manifest) -> Iterator[str]:
    for container in _containers(pod):
        for variable in container.get("env", []):
            secret = any(word in variable["name"] for word in _SECRET_WORDS) and not variable["name"].endswith("_FILE")
            if secret or "secretKeyRef" in variable.get("valueFrom", {}):
                yield f"has {variable['name']} in its environment"


_RULES: Final[tuple[Callable[[Manifest], Iterator[str]], ...]] = (
    _shares_nothing_with_the_host,
    _has_no_privileges,
    _is_not_root,
    _has_no_token,
    _says_what_it_needs,
    _can_be_watched,
    _holds_no_secret,
)
