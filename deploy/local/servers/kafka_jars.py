"""Apache Kafka's own jars, fetched once from Maven Central without Java, Maven or Docker."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.places import StackError, cache_folder

KAFKA_VERSION: Final = "4.3.1"
_COORDINATE: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
_LOGGING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # without it, the broker ends silently
# Over the names and SHA-256 sums of all jars, sorted by name: the jars are pinned like the Python packages.
_DIGEST: Final = "91e99fe3638473b79edb85486d60766c1fa601393f2dfcd04249610ae13ee4f1"


def jars_folder() -> Path:
    """Return the folder with all jars of the broker. Fetches them (45 MB) if they are missing.

    If two processes need them at once, one fetches them while the other waits. The folder
    appears complete or not at all. Raises ``StackError``.
    """
    folder = _folder()
    with _lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _fetch(folder)

    return folder


def has_jars() -> bool:
    """Tell whether the jars have been fetched."""
    return _folder().is_dir()


def _folder() -> Path:
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    jars = unfinished / "jars"
    jars.mkdir(parents=True)

    try:
        for jar in _resolve(unfinished):
            shutil.copyfile(jar, jars / jar.name)
    except Exception as error:  # of the resolver, or of the network below it
        raise StackError(
            f"Could not fetch Kafka's jars ({_COORDINATE}): can this machine reach Maven Central? "
            f"Or set SIGNIN_TEST_KAFKA to the address of a broker that you run. ({type(error).__name__}: {error})"
        ) from error

    if _digest(jars) != _DIGEST:
        raise StackError(
            f"Kafka's jars differ from the pinned ones: delete {unfinished} and try again. "
            f"After a change of version to {KAFKA_VERSION}, write {_digest(jars)} into {Path(__file__).name}."
        )

    os.replace(jars, folder)
    shutil.rmtree(unfinished)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for jar in sorted(folder.iterdir()):
        total.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _resolve(scratch: Path) -> list[Path]:
    # Resolved one by one: together, the logger's parent would change the versions of Kafka's own dependencies.
    broker, logger = (resolve(scratch, coordinate) for coordinate in (_COORDINATE, _LOGGING))
    return [*broker.rglob("*.jar"), *logger.rglob("log4j-slf4j-impl-*.jar")]


def resolve(scratch: Path, coordinate: str) -> Path:
    """Fetch a package of Maven Central and what it needs; return the folder below ``scratch`` that has the jars."""
    # Imported here because the import is slow and only the very first run needs it.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext

    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=scratch / "repository", remote_repos=repositories)
    builder = EnvironmentBuilder(context=context, cache_dir=scratch / "built", link_strategy=LinkStrategy.COPY)

    return Path(builder.from_endpoint(coordinate).path)
