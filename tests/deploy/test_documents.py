"""What docs/kubernetes.md shows is accepted as it stands."""

import re
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from deploy.local.places import PROJECT
from tests.deploy.chart import CHART, Chart, container, only
from tests.docs.documents import blocks

_PAGE: Final = PROJECT / "docs" / "kubernetes.md"
_BLOCKS: Final = [yaml.safe_load(block.text) for block in blocks(_PAGE, "yaml")]


@pytest.mark.parametrize("shown", [each for each in _BLOCKS if "kind" not in each], ids=lambda each: next(iter(each)))
def test_helm_accepts_the_values(chart: Chart, shown: dict[str, Any]) -> None:
    """Each block of values, beside the least ones, renders and passes lint."""
    assert chart.run("lint", "minimal", shown).returncode == 0
    assert chart.render("minimal", shown)


def test_the_first_values_are_complete(chart: Chart) -> None:
    """Nothing has to be added to them."""
    assert chart.run_alone(_BLOCKS[0]).returncode == 0


def test_kubernetes_accepts_the_role() -> None:
    """The block that is a manifest is a valid one."""
    (role,) = [each for each in _BLOCKS if "kind" in each]
    kubernetes_validate.validate(role, "1.37", strict=True)


def test_the_page_names_the_sizes_of_the_chart(chart: Chart) -> None:
    """The requests and the limit on the page are those of the chart."""
    resources = container(only(chart.render("minimal"), "Deployment"))["resources"]
    text = _PAGE.read_text()

    for size in (resources["requests"]["memory"], resources["limits"]["memory"]):
        assert size.removesuffix("Mi") in text
    assert resources["requests"]["cpu"] in text


@pytest.mark.parametrize("reads", [True, False])
def test_the_notes_promote_only_a_first_release(chart: Chart, reads: bool) -> None:
    """With the command for each release, whoever pastes them all makes the oldest current again."""
    notes = chart.notes("minimal", {"releases": {"first": {"reads": reads}}})

    assert "exec deployment/signin-worker-first -- signin-worker check" in notes
    assert ("release promote" in notes) is not reads


def test_copied_figures_are_those_that_were_measured() -> None:
    """The values and their page repeat by hand what one sign-in costs, so a new measurement changes them, too."""
    rate = _found(r"Each handles (\d+) sign-ins per second", "capacity")
    cpu_ms = _found(r"with (\d+) ms per sign-in at given traffic", "capacity")
    tasks = _found(r"\| workflow tasks \| [^|]+\| (\d+)", "performance")
    memory = _found(r"\| resident memory of the worker, MiB \| [^|]+\| (\d+)", "performance")
    figures = (
        f"{rate} sign-ins a second",
        f"{cpu_ms} ms",
        f"{tasks} workflow tasks",
        f"{memory} MiB under steady load",
    )

    for page in (CHART / "values.yaml", PROJECT / "docs" / "kubernetes.md"):
        text = re.sub(r"\s+(# )?", " ", page.read_text())
        assert [figure for figure in figures if figure not in text] == [], page.name


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, (PROJECT / "docs" / f"{page}.md").read_text())
    assert found
    return found[1]
