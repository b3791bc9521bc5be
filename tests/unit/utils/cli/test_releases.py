"""The commands that say which release serves the mailboxes."""

import json
import os
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from tests.fakes.wiring import FakeWiring, invoke
from utils.cli import releases as commands
from utils.settings.loading import load_settings
from utils.temporal.releases import ReleaseState

DEPLOYMENT = {
    "SIGNIN_ENVIRONMENT": "development",
    "SIGNIN_TEMPORAL__DEPLOYMENT": "signin-worker",
    "SIGNIN_TEMPORAL__BUILD_ID": "2.0.0",
}
KNOWN = (
    ReleaseState("2.0.0", "ramping", 10),
    ReleaseState("1.1.0", "current", 90),
    ReleaseState("1.0.0", "drained", 0),
)


class FakeReleases:
    """Has three releases, and notes what is changed."""

    def __init__(self, refusal: RPCStatusCode | None) -> None:
        self.changes: list[tuple[Any, ...]] = []
        self._refusal = refusal

    async def list(self) -> tuple[ReleaseState, ...]:
        """Return them."""
        return KNOWN

    async def promote(self, build_id: str) -> None:
        """Note it, or refuse."""
        self._change("promote", build_id)

    async def ramp(self, build_id: str, share: float) -> None:
        """Note it, or refuse."""
        self._change("ramp", build_id, share)

    def _change(self, *change: Any) -> None:
        if self._refusal is not None:
            raise RPCError("refused", self._refusal, b"")
        self.changes.append(change)


def run(
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    refusal: RPCStatusCode | None = None,
    environ: dict[str, str] = DEPLOYMENT,
) -> tuple[int, str, FakeReleases]:
    """Run a command on the fake."""
    fake = FakeReleases(refusal)
    wiring = FakeWiring()
    wiring.settings = load_settings(environ)

    async def connect() -> None:
        return None

    monkeypatch.setattr(wiring, "temporal", connect)
    monkeypatch.setattr(commands, "Releases", lambda _client, _deployment: fake)
    return *invoke(commands.releases, wiring, *arguments), fake


def test_show_lists_each_release_with_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, the newest first."""
    code, output, _ = run(monkeypatch, "show")

    assert code == 0
    assert output.splitlines() == [
        "2.0.0: ramping, 10 % of the mailboxes",
        "1.1.0: current, 90 % of the mailboxes",
        "1.0.0: drained",
    ]


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same members for each release."""
    _, output, _ = run(monkeypatch, "show", "--json")
    assert json.loads(output)["releases"][0] == {"build_id": "2.0.0", "state": "ramping", "share": 10}


def test_drained_prints_build_ids_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script reads it."""
    assert run(monkeypatch, "drained")[:2] == (0, "1.0.0\n")


def test_promote_means_this_release_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back is the promotion of the release from before."""
    code, output, fake = run(monkeypatch, "promote")
    assert (code, output, fake.changes) == (0, "2.0.0 is current\n", [("promote", "2.0.0")])

    _, _, fake = run(monkeypatch, "promote", "--build-id", "1.1.0")
    assert fake.changes == [("promote", "1.1.0")]


def test_ramp_takes_a_percentage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number beyond it is a usage error."""
    _, output, fake = run(monkeypatch, "ramp", "25")
    assert (output, fake.changes) == ("2.0.0 serves 25 % of the mailboxes\n", [("ramp", "2.0.0", 25)])

    code, _, fake = run(monkeypatch, "ramp", "101")
    assert (code != 0, fake.changes) == (True, [])


@pytest.mark.parametrize("refusal", [RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.NOT_FOUND])
def test_a_release_without_workers_is_not_promoted(monkeypatch: pytest.MonkeyPatch, refusal: RPCStatusCode) -> None:
    """The server refuses, and the text says what to do."""
    code, output, _ = run(monkeypatch, "promote", refusal=refusal)
    assert code == os.EX_UNAVAILABLE
    assert "start its workers" in output


def test_without_a_deployment_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no releases to speak of."""
    code, output, _ = run(monkeypatch, "show", environ={"SIGNIN_ENVIRONMENT": "development"})
    assert code == os.EX_CONFIG
    assert "SIGNIN_TEMPORAL__DEPLOYMENT" in output
