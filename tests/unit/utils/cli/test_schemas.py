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

TOPICS = ("asked", "typed", "said")


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    """Give a function that runs the command and returns its exit code and all that it said."""
    wiring = FakeWiring()
    wiring.topics = TOPICS
    cli = typer.Typer()
    cli.command()(schemas)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli, [str(each) for each in arguments], obj=wiring)
        return result.exit_code, result.output

    return call


def test_the_document_is_shown_with_the_topics_that_are_set(run: Callable[..., tuple[int, str]]) -> None:
    """As JSON on stdout."""
    code, said = run()
    assert code == 0
    addresses = {each["address"] for each in json.loads(said)["channels"].values()}
    assert addresses == {"asked", "typed", "said", "asked.dlt", "typed.dlt"}


def test_what_was_written_compares_as_the_same(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """Into a folder that need not be there; twice is the same."""
    folder = tmp_path / "new" / "schemas"
    for _ in range(2):
        assert run("--out", folder) == (0, f"{folder}: asyncapi.json and 9 schemas\n")
    assert run("--against", folder) == (0, "9 events compared: no breaking changes\n")


def test_a_broken_promise_ends_with_1(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """And is told: here an emitter may have left out what is needed now."""
    run("--out", tmp_path)
    path = tmp_path / "signin.requested.schema.json"
    before = json.loads(path.read_text())
    before["required"].remove("email")
    path.write_text(json.dumps(before))
    code, said = run("--against", tmp_path)

    assert code == 1
    assert said == "signin.requested: email is required on one side only\n9 events compared: 1 breaking changes\n"


@pytest.mark.parametrize("content", [None, "{"])
def test_a_folder_that_holds_no_contract_is_told(
    run: Callable[..., tuple[int, str]], tmp_path: Path, content: str | None
) -> None:
    """What to do is said."""
    if content is not None:
        (tmp_path / "a.schema.json").write_text(content)
    code, said = run("--against", tmp_path)
    assert code == os.EX_USAGE
    assert "name a folder that --out wrote" in said
