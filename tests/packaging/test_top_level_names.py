"""The wheel installs top-level names that others might use, too (docs/adr/0020)."""

from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from deploy.local.places import PROJECT

OURS = {"signin_worker.py", "consumers", "workflows", "activities", "schemas", "utils"}


def installers(names: set[str], installed: Iterable[Distribution]) -> set[str]:
    """Return the distributions that install anything under one of these top-level names."""
    return {
        distribution.name for distribution in installed for file in distribution.files or () if file.parts[0] in names
    }


def test_no_package_in_use_shares_a_top_level_name_with_us() -> None:
    """An install beside every package of both locks overwrites no file, and no package's file lands in ours."""
    installed = list(distributions())

    assert len(installed) > 80
    assert installers(OURS, installed) == set()


def test_the_names_are_those_that_the_wheel_installs() -> None:
    """The list above is what the build is told to include."""
    build = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")

    assert all(f'"{name}"' in build.partition("only-include = ")[2].splitlines()[0] for name in OURS)


def test_a_package_with_such_a_name_is_found(tmp_path: Path) -> None:
    """A distribution that installs a module named ``utils`` is named."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("utils/__init__.py,,\n", encoding="utf-8")

    assert installers(OURS, distributions(path=[str(tmp_path)])) == {"other"}
