"""What GitHub shows to whoever reports or contributes something, and the hooks on their machine."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT

FORMS: Final = sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS: Final = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
_KINDS: Final = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def _form(path: Path) -> dict[str, Any]:
    form = yaml.safe_load(path.read_text())
    assert isinstance(form, dict)
    return form


def _local_hooks() -> list[dict[str, Any]]:
    return [hook for repository in HOOKS if repository["repo"] == "local" for hook in repository["hooks"]]


@pytest.mark.parametrize("path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_forms_have_what_github_asks_for(path: Path) -> None:
    """A form has a name, a description and questions with ids and labels; otherwise GitHub shows none of it."""
    form = _form(path)
    questions = [each for each in form["body"] if each["type"] != "markdown"]
    ids = [each["id"] for each in questions]

    assert form["name"] and form["description"]
    assert {each["type"] for each in form["body"]} <= _KINDS
    assert len(ids) == len(set(ids))
    assert all(each["attributes"]["label"] for each in questions)


def test_vulnerabilities_are_no_issues() -> None:
    """Each way to an issue leads to the policy, and an issue without a form cannot be opened."""
    config = _form(FORMS[0].with_name("config.yml"))
    bug = FORMS[0].with_name("bug.yml").read_text()

    assert config["blank_issues_enabled"] is False
    assert "SECURITY.md" in config["contact_links"][0]["about"]
    assert "SECURITY.md" in bug
    assert "Report a vulnerability" in (PROJECT / "SECURITY.md").read_text()


def test_bug_reports_name_the_version() -> None:
    """The form asks for what the command prints."""
    (version,) = (each for each in _form(FORMS[0].with_name("bug.yml"))["body"] if each.get("id") == "version")

    assert "signin-worker --version" in version["attributes"]["description"]
    assert version["validations"]["required"]


def test_hooks_run_what_make_check_runs() -> None:
    """Each hook is a line of ``make check``, and all of ``make check`` runs before a push."""
    rule = (PROJECT / "Makefile").read_text().partition("\ncheck: ")[2].partition("\n\n")[0]
    programs = set(re.findall(r"\$\(BIN\)/(\S+)", rule))
    hooked = set(re.findall(r"\.cache/venv/bin/(\S+)", " ".join(hook["entry"] for hook in _local_hooks())))
    (pushing,) = (hook for hook in _local_hooks() if "pre-push" in hook.get("stages", []))

    assert hooked | {"mypy"} == programs
    assert pushing["entry"] == "make check"


def test_hooks_of_others_are_pinned() -> None:
    """A hook from elsewhere is pinned to a commit, because a tag can be moved."""
    revisions = [repository["rev"] for repository in HOOKS if repository["repo"] != "local"]

    assert revisions
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in revisions)


def test_ci_and_the_hooks_run_the_same_actionlint() -> None:
    """Both name one version."""
    ci = (PROJECT / ".github" / "workflows" / "ci.yml").read_text()
    frozen = re.findall(r"# frozen: (v\S+)", (PROJECT / ".pre-commit-config.yaml").read_text())

    assert re.findall(r"cmd/actionlint@(v\S+)", ci) == frozen
