"""Files that are replaced while the worker runs."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.fakes.waiting import until
from utils.files import CredentialWatch, Reloaded, secret_file


def pair(folder: Path) -> Reloaded[str]:
    """Return what two files hold; they can only be used together if they are the same."""
    paths = [folder / "certificate", folder / "key"]

    def load() -> str:
        certificate, key = (path.read_text() for path in paths)
        if certificate != key:
            raise ValueError(f"{certificate} is not {key}")
        return certificate

    return Reloaded("pair", paths, load)


def write(folder: Path, **files: str) -> None:
    """Write files by their names."""
    for name, text in files.items():
        (folder / name).write_text(text)


def test_a_new_secret_is_read(tmp_path: Path) -> None:
    """A file that changes is read again; blanks around the secret do not count."""
    write(tmp_path, password="first\n")
    secret = secret_file("password", tmp_path / "password")

    assert secret.value() == "first"

    write(tmp_path, password=" second ")

    assert secret.value() == "second"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_an_unusable_secret_leaves_the_old_one(tmp_path: Path, content: bytes) -> None:
    """A file that is empty, blank or not text changes nothing, and says so until it is usable again."""
    write(tmp_path, password="first")
    secret = secret_file("password", tmp_path / "password")
    secret.value()
    (tmp_path / "password").write_bytes(content)

    assert (secret.value(), secret.is_outdated) == ("first", True)

    write(tmp_path, password="second")

    assert (secret.value(), secret.is_outdated) == ("second", False)


def test_a_file_that_is_gone_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    """Some tools delete a file and write it again."""
    write(tmp_path, password="first")
    secret = secret_file("password", tmp_path / "password")
    secret.value()
    (tmp_path / "password").unlink()

    assert secret.value() == "first"


def test_a_half_written_pair_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate that is new before its key is not used until both are new. It is logged once, without content."""
    write(tmp_path, certificate="old", key="old")
    credentials = pair(tmp_path)
    credentials.value()
    write(tmp_path, certificate="new")

    with caplog.at_level(logging.INFO):
        assert [credentials.value(), credentials.value()] == ["old", "old"]
        assert credentials.is_outdated
        write(tmp_path, key="new")
        assert credentials.value() == "new"

    assert caplog.messages == ["credentials cannot be loaded", "credentials have been replaced"]
    assert "new" not in caplog.text


def test_files_are_loaded_only_when_they_change(tmp_path: Path) -> None:
    """The same content again is not loaded again, so clients keep what they have."""
    write(tmp_path, secret="one")
    credentials = Reloaded("object", [tmp_path / "secret"], object)
    first = credentials.value()
    write(tmp_path, secret="one")

    assert credentials.value() is first


def test_files_that_never_could_be_used_raise(tmp_path: Path) -> None:
    """Without a value to keep, the error is the caller's. It is raised until the files can be used."""
    secret = secret_file("password", tmp_path / "password")

    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            secret.value()

    write(tmp_path, password="here")

    assert secret.value() == "here"


def test_a_change_while_loading_is_noticed(tmp_path: Path) -> None:
    """If the files change while they are loaded, the next call loads them again."""
    write(tmp_path, secret="one")

    def load() -> str:
        text = (tmp_path / "secret").read_text()
        write(tmp_path, secret="two")
        return text

    credentials = Reloaded("changing", [tmp_path / "secret"], load)

    assert [credentials.value(), credentials.value()] == ["one", "two"]


def test_a_secret_read_at_the_start_never_raises(tmp_path: Path) -> None:
    """The value that the settings read stays if the file is gone by the first use."""
    assert secret_file("password", tmp_path / "gone", "first").value() == "first"


async def test_the_watch_looks_until_it_is_stopped() -> None:
    """All refreshers are called each time. A stop does not wait for the next time."""
    calls: list[str] = []

    async def first() -> None:
        calls.append("first")

    async def second() -> None:
        calls.append("second")

    watch = CredentialWatch([first, second], every_s=0.01)
    running = asyncio.ensure_future(watch.run())
    await until(lambda: len(calls) >= 4)
    watch.stop()
    await asyncio.wait_for(running, 5)

    assert calls[:4] == ["first", "second"] * 2


async def test_a_server_that_hangs_does_not_keep_the_others_on_old_credentials() -> None:
    """Temporal's connection may take ten seconds to fail, and passwords of Kafka expire meanwhile."""
    calls = 0

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def counts() -> None:
        nonlocal calls
        calls += 1

    watch = CredentialWatch([hangs, counts], every_s=0.01)
    running = asyncio.ensure_future(watch.run())
    await until(lambda: calls >= 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_stopping_ends_the_wait() -> None:
    """The worker does not stop five seconds later because of it."""
    watch = CredentialWatch([], every_s=3_600)
    running = asyncio.ensure_future(watch.run())
    await asyncio.sleep(0)
    watch.stop()
    await asyncio.wait_for(running, 5)
