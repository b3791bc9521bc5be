"""The wheel works when it is installed with the locked packages into a clean environment."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from deploy.local.places import LOOPBACK, PROJECT, free_ports
from deploy.local.processes import Child, executable

pytestmark = pytest.mark.timeout(300)
_PACKAGES = ("consumers", "workflows", "activities", "schemas", "utils")


def _run(*command: str | Path, cwd: Path = PROJECT, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the locked builder."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the runtime lock and the wheel into a new environment; return its ``bin``."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    uv = executable("uv")
    python = environment / "bin" / "python"

    _run(uv, "venv", "--quiet", "--python", sys.executable, environment)
    install = (uv, "pip", "install", "--quiet", "--python", python)
    _run(*install, "--require-hashes", "-r", PROJECT / "requirements" / "runtime.txt")
    _run(*install, "--no-deps", "--no-index", wheel)
    return python.parent


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_wheel_holds_exactly_the_sources(wheel: Path) -> None:
    """The wheel has every file of the five packages, including templates, and the composition root; nothing else."""
    tracked = (path for package in _PACKAGES for path in (PROJECT / package).rglob("*") if path.is_file())
    expected = {str(path.relative_to(PROJECT)) for path in tracked if "__pycache__" not in path.parts}
    actual = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert actual == expected | {"signin_worker.py"}


def test_the_locked_packages_satisfy_the_wheel(installed: Path) -> None:
    """The runtime lock contains everything that the wheel requires, without conflicts."""
    _run(executable("uv"), "pip", "check", "--quiet", "--python", installed / "python")


def test_every_module_can_be_imported(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """Each module is imported from the installed wheel, isolated from the sources."""
    files = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py"))
    modules = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files)
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    assert 'site-packages' in (importlib.import_module(name).__file__ or ''), name\n"
    )
    _run(installed / "python", "-I", "-c", program, *modules, cwd=tmp_path, environment=_environment())


def test_help_lists_the_commands(installed: Path, tmp_path: Path) -> None:
    """``signin-worker --help`` works without any settings."""
    text = _run(installed / "signin-worker", "--help", cwd=tmp_path, environment=_environment())
    assert all(name in text for name in ("run", "check", "topics", "request", "submit", "dlt"))


def test_missing_settings_end_check_with_78(installed: Path, tmp_path: Path) -> None:
    """Without settings, which means production, ``signin-worker check`` names a missing key."""
    done = subprocess.run(
        [installed / "signin-worker", "check"], cwd=tmp_path, env=_environment(), capture_output=True, text=True
    )
    assert done.returncode == 78
    assert "SIGNIN_KEYS__ACCOUNT" in done.stdout + done.stderr


def test_the_demo_ends_with_69_without_the_sources(installed: Path, tmp_path: Path) -> None:
    """The wheel does not contain the demo, so ``signin-worker demo`` says what to do instead."""
    done = subprocess.run(
        [installed / "signin-worker", "demo"], cwd=tmp_path, env=_environment(), capture_output=True, text=True
    )
    assert done.returncode == 69
    assert "make demo" in done.stderr


def test_the_worker_runs_until_sigterm(installed: Path) -> None:
    """``signin-worker run`` serves /livez while all its dependencies are down, and exits with 0 on SIGTERM."""
    port, closed = free_ports(2)
    settings = {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_HTTP__PORT": str(port),
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{closed}",
        "TEMPORAL_ADDRESS": f"{LOOPBACK}:{closed}",
    }

    def is_alive() -> bool:
        try:
            return httpx.get(f"http://{LOOPBACK}:{port}/livez", trust_env=False).is_success
        except httpx.TransportError:
            return False

    worker = Child("wheel", grace_s=30)

    try:
        worker.start([installed / "signin-worker", "run"], _environment() | settings | {"HOME": str(worker.folder)})
        worker.wait_until(is_alive, within_s=60)
        assert worker.end() == 0, worker.last_output()
    finally:
        worker.stop()
