"""Bring the stack of ``deploy/compose`` up, sign in through it, take it down: ``python -m tests.compose``."""

import argparse
import secrets
import sys
import time
from pathlib import Path

import yaml

from deploy.local.places import StackError
from deploy.local.worker import new_key
from tests.compose import stand_ins
from tests.compose.docker import Compose, leftovers, require_daemon
from tests.compose.sign_in import check_pages, sign_in


def main() -> int:
    """Return 0 if a sign-in succeeded and nothing is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--stand-ins", action="store_true", help="build the images from packages instead of pulling")
    arguments = parser.parse_args()

    try:
        require_daemon()
        if left := leftovers():
            raise StackError(f"An earlier check is still there: {', '.join(left)}")
        overlays = [_secrets(stand_ins.folder())]
        overlays += [stand_ins.build(_say)] if arguments.stand_ins else []
        _check(Compose(overlays))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1

    images = "stand-ins" if arguments.stand_ins else "the official images"
    _say(f"compose.yaml starts, signs in and goes away, with {images}")
    return 0


def _check(compose: Compose) -> None:
    began = time.monotonic()
    try:
        compose.show("build", "--quiet")
        compose.show("up", "--wait", "--quiet-pull")
        _say(f"up after {time.monotonic() - began:.0f} s, with the build")

        check_pages(_say)
        signin_id = sign_in(compose, _say)
        _check_restart(compose, signin_id)
        _check_stop(compose)
    except StackError:
        compose.show("ps", "--all")
        compose.show("logs", "--tail", "20")
        raise
    finally:
        compose.show("down", "--volumes", "--timeout", "40")

    if left := leftovers():
        raise StackError(f"These are left: {', '.join(left)}")
    _say("down: no container, volume or network is left")


def _check_restart(compose: Compose, signin_id: str) -> None:
    """Restart the servers with volumes, and ask them for the sign-in."""
    compose.show("restart", "kafka", "temporal")
    compose.show("up", "--wait", "--no-build")

    story = compose.worker("trace", signin_id)
    if "signin.succeeded" not in story:
        raise StackError(f"After a restart, the sign-in's story is:\n{story}")
    _say("after a restart, Kafka and Temporal still tell the sign-in's story")


def _check_stop(compose: Compose) -> None:
    """Stop the worker, which exits with 0."""
    compose.show("stop", "--timeout", "40", "worker")
    state = compose.ask("ps", "--all", "--format", "{{.ExitCode}}", "worker")
    if state != "0":
        raise StackError(f"The worker exited with {state} after SIGTERM.")
    _say("the worker exits with 0 after SIGTERM")


def _secrets(folder: Path) -> Path:
    """Make new keys, and a compose file that names them: whoever has keys in deploy/compose keeps them."""
    values = {
        "account": new_key(),
        "code": f"c1:{new_key()}",
        "payload": f"p1:{new_key()}",
        "codec-token": secrets.token_hex(32),
    }
    keys = folder / "secrets"
    keys.mkdir(mode=0o700, exist_ok=True)
    for name, value in values.items():
        (keys / name).write_text(value)
        (keys / name).chmod(0o644)

    overlay = folder / "secrets.yaml"
    overlay.write_text(yaml.safe_dump({"secrets": {name: {"file": str(keys / name)} for name in values}}))
    return overlay


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
