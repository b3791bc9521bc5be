"""The README and the pages it leads to: commands exist, examples are on the wire, tables match the models."""

import importlib.util
import json
import re
import shlex
import subprocess
from typing import Final, get_args

import pytest

from deploy.local.places import PROJECT
from schemas import results
from schemas.dead_letters import DeadLetterError
from schemas.inbound import OtpSubmitted, SignInRequested
from tests.docs.documents import EVENTS, README, blocks, code, rows, section
from tests.docs.pages import (
    CHECKS,
    DOCKER,
    INSTALL,
    KEEP,
    KEYS,
    MAKE,
    PAGES,
    REPLAY,
    REQUEST,
    ROLES,
    RUN,
    SHELL,
    SUBMIT,
    blocks_of_pages,
)
from utils.settings.environment import variables
from utils.settings.loading import Settings

CONTRIBUTING: Final = PROJECT / "CONTRIBUTING.md"
LONGEST_README: Final = 200
PROGRAMS: Final = {"demo": "-m deploy.demo", "test": "-m pytest"}


def test_the_readme_stays_an_introduction() -> None:
    """The README is short enough to be read to its end."""
    assert len(README.read_text().splitlines()) <= LONGEST_README


def test_every_block_of_commands_is_tested() -> None:
    """Each block of the pages is run or examined by a test of this package."""
    examined = [MAKE, KEEP, KEYS, INSTALL, DOCKER, RUN, REQUEST, SUBMIT, ROLES, CHECKS, REPLAY]

    assert sorted(examined) == sorted(SHELL)


def test_every_block_is_in_a_language_that_tests_know() -> None:
    """No block hides from the tests behind another name for a shell."""
    blocks_found = blocks_of_pages("sh", "dotenv", "text", "json", "bash", "shell", "console", "")

    assert {block.language for block in blocks_found} <= {"sh", "dotenv", "text", "json", ""}


@pytest.mark.parametrize("command", [*MAKE.splitlines(), *KEEP.splitlines()])
def test_make_has_the_targets(command: str) -> None:
    """Each target runs its programme; ``tests/integration/test_demo.py`` and this run show that the programmes work."""
    _, target, *_ = shlex.split(command)

    printed = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=PROJECT, capture_output=True, text=True, timeout=30, check=True
    ).stdout

    assert PROGRAMS[target] in printed
    assert ("deploy.demo --keep" in printed) == ("--keep" in command)


def test_commands_for_contributors_exist() -> None:
    """CONTRIBUTING.md names targets of make, modules and files that exist."""
    lines = (line for block in blocks(CONTRIBUTING, "sh") for line in block.text.splitlines())

    for program, *arguments in map(shlex.split, lines):
        if program == "make":
            subprocess.run(["make", *arguments, "--dry-run"], cwd=PROJECT, capture_output=True, timeout=30, check=True)
            continue

        dash_m, module, *rest = arguments

        assert (program, dash_m) == (".cache/venv/bin/python", "-m")
        assert importlib.util.find_spec(module) is not None
        assert all((PROJECT / path).exists() for path in rest if not path.startswith("--"))


def test_examples_of_events_are_read_by_the_worker() -> None:
    """The models of the wire read both examples, and no member is left over."""
    requested, submitted = (json.loads(block.text) for block in blocks(EVENTS, "json"))

    assert SignInRequested.model_validate(requested).model_dump(exclude_unset=True).keys() == requested.keys()
    assert OtpSubmitted.model_validate(submitted).model_dump(exclude_unset=True).keys() == submitted.keys()


def test_examples_of_the_readme_are_on_the_wire() -> None:
    """The README's request is that of the events page, and its result is what the worker publishes."""
    requested, result = (json.loads(block.text) for block in blocks(README, "json"))
    succeeded = results.SignInSucceeded.model_validate(result)

    assert requested == json.loads(blocks(EVENTS, "json")[0].text)
    assert json.loads(results.ResultEvent(result=succeeded).value()) == result


def test_the_table_of_results_matches_the_models() -> None:
    """Types, members and reasons are those of the models, and exactly the terminal types are bold."""
    table = {
        code(kind)[0]: (kind, set(code(members)))
        for kind, members, _ in rows(section(EVENTS, "Results: `signin.results`"))
    }
    models = get_args(get_args(results.Result)[0])
    common = {"signin_id", "account", "occurred_at", "type"}

    assert len(models) == len(table)

    for model in models:
        kind, documented = table[model.model_fields["type"].default]
        reasons = model.model_fields["reason"].annotation if "reason" in model.model_fields else None

        assert documented == {*(model.model_fields.keys() - common), *get_args(reasons)}
        assert kind.startswith("**") == (model.model_fields["type"].default in results.TERMINAL_TYPES)


def test_the_table_of_dead_letter_errors_is_complete() -> None:
    """Each ``dlt-error`` has a row."""
    table = rows(section(EVENTS, "Dead letters: `<topic>.dlt`"))

    assert [code(error)[0] for error, _ in table] == list(get_args(DeadLetterError))


def test_every_setting_that_is_named_exists() -> None:
    """No variable on the pages is misspelt, except for the one that shows what happens then."""
    known = {variable.name for variable in variables(Settings)}
    secrets = {f"{variable.name}_FILE" for variable in variables(Settings) if variable.secret}
    text = "".join(page.read_text() for page in PAGES)

    named = set(re.findall(r"\bSIGNIN_(?!TEST_|ID\b)[A-Z_]*[A-Z]\b", text))

    assert named - known - secrets == {"SIGNIN_OTP__DIGIT"}
