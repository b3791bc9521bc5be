"""Apache Kafka's own jars, fetched once from Maven Central in pure Python: no Java, no Maven, no Docker needed."""

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
_LOGGING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # without it the broker dies silently
# Over the names and SHA-256 sums of all jars, in order of name: pinned like the Python packages.
_DIGEST: Final = "91e99fe3638473b79edb85486d60766c1fa601393f2dfcd04249610ae13ee4f1"


def jars_folder() -> Path:
    """Return the folder of all jars of the broker; fetch them if they are not there (45 MB).

    Two processes that need them at once fetch them once: the second waits for the first. The folder appears complete
    or not at all. Raises ``StackError``.
    """
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    with _lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def jars_are_here() -> bool:
    """Tell whether nothing has to be fetched."""
    return (cache_folder() / f"kafka-{KAFKA_VERSION}").is_dir()


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
    except Exception as error:  # whatever a resolver and a network can come up with
        raise StackError(
            f"Could not fetch Kafka's jars ({_COORDINATE}): is Maven Central within reach? "
            f"Or set SIGNIN_TEST_KAFKA to the address of a broker you have. ({type(error).__name__}: {error})"
        ) from error
    if _digest(jars) != _DIGEST:
        raise StackError(
            f"Kafka's jars are not the ones that were pinned: delete {unfinished} and try again. "
            f"If {KAFKA_VERSION} is a version you chose just now, write {_digest(jars)} into {Path(__file__).name}."
        )
    os.replace(jars, folder)
    shutil.rmtree(unfinished)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for jar in sorted(folder.iterdir()):
        total.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _resolve(scratch: Path) -> list[Path]:
    # Imported here, since it takes a while and only the first run of all needs it.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext

    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=scratch / "repository", remote_repos=repositories)
    builder = EnvironmentBuilder(context=context, cache_dir=scratch / "built", link_strategy=LinkStrategy.COPY)
    # Resolved apart: side by side, the logger's parent would choose other versions for Kafka's own dependencies.
    broker, logger = (builder.from_endpoint(coordinate).path for coordinate in (_COORDINATE, _LOGGING))
    return [*broker.rglob("*.jar"), *logger.rglob("log4j-slf4j-impl-*.jar")]
