"""A release is rolled out beside the one that runs. The script and the chart are real; the cluster is a fake."""

from pathlib import Path
from typing import Final

import pytest

from tests.deploy.chart import IMAGE
from tests.deploy.cluster import RELEASE, Cluster

_OLDER: Final = f"registry.example/team/signin-worker@sha256:{'0' * 64}"
_OLDER_RELEASE: Final = "sha-000000000000"


@pytest.fixture
def cluster(tmp_path: Path, helm: Path) -> Cluster:
    """Return a cluster without a release, where roll-outs succeed."""
    return Cluster(tmp_path, helm)


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """Return a cluster in which the older release runs."""
    done = cluster.roll_out(IMAGE=_OLDER)
    assert done.returncode == 0, done.stderr
    (cluster.folder / "calls").unlink()

    return cluster


def _roles(cluster: Cluster) -> dict[str, str]:
    return {release: deployment.role for release, deployment in cluster.deployments.items()}


def test_a_release_serves_mailboxes_before_it_reads_events(cluster: Cluster) -> None:
    """It becomes ready as a worker, is promoted, and only then reads. Whatever it had read would stay with it."""
    done = cluster.roll_out()

    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["upgrade", "status", "promote", "upgrade", "status", "drained", "upgrade"]
    assert _roles(cluster) == {RELEASE: "all"}
    assert all("sign-in" in call["arguments"] for call in cluster.calls)


def test_the_image_names_the_release(cluster: Cluster) -> None:
    """The build id and the name of the Deployment begin like the image's digest."""
    cluster.roll_out()

    assert cluster.deployments[RELEASE].image == IMAGE
    assert cluster.variables["SIGNIN_TEMPORAL__BUILD_ID"] == RELEASE
    (drained,) = [call for call in cluster.calls if call["verb"] == "drained"]
    assert f"deployment/signin-worker-{RELEASE}" in drained["arguments"]


def test_a_release_is_never_a_number(cluster: Cluster) -> None:
    """A digest may begin with twelve digits, or look like 12e45: labels and variables are strings."""
    done = cluster.roll_out(IMAGE=f"registry.example/signin-worker@sha256:{'12' * 32}")
    assert done.returncode == 0, done.stderr
    assert list(cluster.deployments) == ["sha-121212121212"]


def test_the_environment_has_its_own_values(cluster: Cluster) -> None:
    """The file of values that ENVIRONMENT names counts."""
    cluster.roll_out(ENVIRONMENT="production")
    assert cluster.variables["TEMPORAL_NAMESPACE"] == "signin"


def test_the_older_release_reads_until_the_new_one_is_ready(running: Cluster) -> None:
    """Then it only serves its mailboxes, until it is drained."""
    assert running.roll_out().returncode == 0
    assert _roles(running) == {_OLDER_RELEASE: "worker", RELEASE: "all"}


def test_a_drained_release_is_removed(running: Cluster) -> None:
    """By the same call a day later, or by the next roll-out."""
    running.roll_out()
    running.drains(_OLDER_RELEASE)
    assert running.roll_out().returncode == 0
    assert _roles(running) == {RELEASE: "all"}


def test_a_ramp_stops_before_the_release_reads_events(running: Cluster) -> None:
    """A share of the mailboxes moves; the same call without RAMP finishes."""
    assert running.roll_out(RAMP="10").returncode == 0
    assert running.verbs == ["upgrade", "status", "ramp"]
    assert running.calls[-1]["arguments"][-1] == "10"
    assert _roles(running) == {_OLDER_RELEASE: "all", RELEASE: "worker"}

    assert running.roll_out().returncode == 0
    assert _roles(running) == {_OLDER_RELEASE: "worker", RELEASE: "all"}


def test_a_new_release_that_does_not_become_ready_is_removed(running: Cluster) -> None:
    """Nothing belongs to it yet. Its log is shown, and the script exits with 1."""
    running.becomes_ready(False)
    assert running.roll_out().returncode == 1
    assert running.verbs == ["upgrade", "status", "logs", "rollback"]
    assert _roles(running) == {_OLDER_RELEASE: "all"}


def test_a_first_release_that_does_not_become_ready_leaves_nothing(cluster: Cluster) -> None:
    """There is nothing to go back to."""
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs == ["upgrade", "status", "logs", "uninstall"]
    assert cluster.deployments == {}


def test_going_back_is_a_roll_out_of_the_previous_image(running: Cluster) -> None:
    """Its Deployment still serves mailboxes; it is promoted, and reads again. The bad release is left running."""
    running.roll_out()
    (running.folder / "calls").unlink()

    assert running.roll_out(IMAGE=_OLDER).returncode == 0
    assert running.verbs == ["upgrade", "status", "promote", "upgrade", "status", "drained", "upgrade"]
    assert _roles(running) == {_OLDER_RELEASE: "all", RELEASE: "worker"}


def test_nobody_waits_for_an_older_release(running: Cluster) -> None:
    """A bad release that never becomes ready must not stop the way back: only the release itself is waited for."""
    running.roll_out()
    waited = [call["arguments"][2] for call in running.calls if call["verb"] == "status"]

    assert {each.removeprefix("deployment.apps/") for each in waited} == {f"signin-worker-{RELEASE}"}
    assert [call for call in running.calls if "--wait" in call["arguments"] or "--atomic" in call["arguments"]] == []


def test_new_settings_go_back_if_the_running_release_does_not_become_ready(cluster: Cluster) -> None:
    """It keeps its role meanwhile. The settings from before are restored."""
    cluster.roll_out(ENVIRONMENT="staging")
    (cluster.folder / "calls").unlink()
    cluster.becomes_ready(False)

    assert cluster.roll_out(ENVIRONMENT="production").returncode == 1
    assert cluster.verbs == ["promote", "upgrade", "status", "logs", "rollback"]
    assert cluster.variables["TEMPORAL_NAMESPACE"] == "signin-staging"
    assert _roles(cluster) == {RELEASE: "all"}


def test_a_release_that_cannot_read_goes_on_serving_mailboxes(running: Cluster) -> None:
    """If it becomes ready as a worker only, the older release goes on reading."""
    running.becomes_ready(True, False)
    assert running.roll_out().returncode == 1
    assert running.verbs[-2:] == ["logs", "rollback"]
    assert _roles(running) == {_OLDER_RELEASE: "all", RELEASE: "worker"}


def test_an_upgrade_that_helm_refuses_changes_nothing(running: Cluster) -> None:
    """The script exits with 1, and what ran before runs on."""
    assert running.roll_out(ENVIRONMENT="nowhere").returncode == 1
    assert running.verbs[-1] == "rollback"
    assert _roles(running) == {_OLDER_RELEASE: "all"}


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_nothing_is_touched_while_another_roll_out_is_under_way(running: Cluster, status: str) -> None:
    """Helm 3 does not list what is pending, which looks like an empty cluster: it must never be uninstalled."""
    running.is_busy(status, upgrades=-1)
    done = running.roll_out()

    assert (done.returncode, running.verbs) == (75, [])
    assert f"{status}: another roll-out is under way, or was killed" in done.stderr
    assert _roles(running) == {_OLDER_RELEASE: "all"}


def test_a_roll_out_that_begins_meanwhile_is_not_taken_back(running: Cluster) -> None:
    """Helm refuses our upgrade. Going back to our revision would take the other one back."""
    running.is_busy("pending-upgrade")
    done = running.roll_out()

    assert done.returncode == 75
    assert running.verbs == ["upgrade", "logs"]


def test_what_helm_does_not_know_is_never_uninstalled(running: Cluster) -> None:
    """Deployments run although Helm lists nothing: there is no way back, so nothing is begun."""
    running.forgets_its_revisions()
    done = running.roll_out()

    assert (done.returncode, running.verbs) == (70, [])
    assert "Nothing was changed" in done.stderr


def test_a_release_that_was_added_meanwhile_stays(running: Cluster) -> None:
    """What runs is looked at before each step: another roll-out may have added a Deployment in the last minutes."""
    running.is_rolled_out_meanwhile(f"registry.example/team/signin-worker@sha256:{'34' * 32}")

    assert running.roll_out().returncode == 0
    assert _roles(running) == {_OLDER_RELEASE: "worker", "sha-343434343434": "worker", RELEASE: "all"}


@pytest.mark.parametrize("ramp", ["0", "100", "ten"])
def test_a_ramp_is_a_percentage(cluster: Cluster, ramp: str) -> None:
    """Anything else is refused, and nothing is called."""
    done = cluster.roll_out(RAMP=ramp)
    assert (done.returncode, cluster.calls) == (64, [])


def test_the_kubeconfig_is_private_and_removed(cluster: Cluster) -> None:
    """The kubeconfig is a file with mode 600, which is removed afterwards."""
    cluster.roll_out()
    assert {(call["kubeconfig"], call["mode"]) for call in cluster.calls} == {("permissions in one namespace", 0o600)}
    assert not Path(cluster.calls[0]["path"]).exists()


@pytest.mark.parametrize("name", ["KUBECONFIG_CONTENT", "NAMESPACE", "ENVIRONMENT", "IMAGE"])
def test_a_missing_variable_is_named(cluster: Cluster, name: str) -> None:
    """Without one of its variables, the script names it and calls nothing."""
    done = cluster.roll_out(**{name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert cluster.calls == []


@pytest.mark.parametrize("image", ["registry.example/signin-worker:1.2.3", f"x@sha256:{'ab' * 31}", f"{IMAGE}; x"])
def test_an_image_without_a_digest_is_refused(cluster: Cluster, image: str) -> None:
    """The image must be named by its digest, because a tag can be moved."""
    done = cluster.roll_out(IMAGE=image)
    assert (done.returncode, cluster.calls) == (64, [])
    assert "digest" in done.stderr
