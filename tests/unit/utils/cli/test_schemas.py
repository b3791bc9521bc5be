"""The command ``signin-worker schemas``."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.fakes.wiring import FakeWiring
from utils.cli.schemas import schemas

Run = Callable[..., tuple[int, str]]

TOPICS = ("asked", "typed", "said")


@pytest.fixture
def run() -> Run:
    """Give a function that runs the command and returns its exit code and its output."""
    wiring = FakeWiring()
    wiring.topics = TOPICS
    cli = typer.Typer()
    cli.command()(schemas)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli, [str(each) for each in arguments], obj=wiring)
        return result.exit_code, result.output

    return call


def test_the_document_names_the_topics_of_the_settings(run: Run) -> None:
    """Without options, the command prints the AsyncAPI document as JSON."""
    code, output = run()
    addresses = {channel["address"] for channel in json.loads(output)["channels"].values()}

    assert code == 0
    assert addresses == {"asked", "typed", "said", "asked.dlt", "typed.dlt"}


def test_a_contract_is_compatible_with_itself(run: Run, tmp_path: Path) -> None:
    """``--out`` creates the folder or overwrites its files, and ``--against`` reports no change."""
    folder = tmp_path / "new" / "schemas"
    for _ in range(2):
        assert run("--out", folder) == (0, f"{folder}: asyncapi.json and 9 schemas\n")

    assert run("--against", folder) == (0, "9 events compared: no breaking changes\n")


def test_a_breaking_change_exits_with_1(run: Run, tmp_path: Path) -> None:
    """The output names the change: emitters may have omitted a member that is required now."""
    run("--out", tmp_path)
    path = tmp_path / "signin.requested.schema.json"
    before = json.loads(path.read_text())
    before["required"].remove("email")
    path.write_text(json.dumps(before))

    code, output = run("--against", tmp_path)

    assert code == 1
    assert output.splitlines() == [
        "signin.requested: email: readers require it, writers may omit it",
        "9 events compared: 1 breaking change",
    ]


@pytest.mark.parametrize("content", [None, "{"])
def test_a_folder_without_schemas_is_a_usage_error(run: Run, tmp_path: Path, content: str | None) -> None:
    """An empty folder or a broken file exits with 64, and the output says what to do."""
    if content is not None:
        (tmp_path / "a.schema.json").write_text(content)

    code, output = run("--against", tmp_path)

    assert code == os.EX_USAGE
    assert "name a folder that --out wrote" in output
