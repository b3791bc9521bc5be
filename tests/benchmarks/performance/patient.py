"""The worker with codes that live for hours: settings allow ten minutes, in which one machine opens too few."""

import sys
from collections.abc import Callable
from typing import Any, Final

import pydantic

from deploy.local.worker import LocalWorker

_ALLOWED: Final = {"ge": 5, "le": 600}
_LONGEST_S: Final = 86_400
_LIFETIME_S: Final = 6 * 3_600


class PatientWorker(LocalWorker):
    """The real worker but for that bound. Its other commands are the real ones, under the real settings."""

    def launch(self) -> None:
        """Start it and return at once."""
        lifetime = {"SIGNIN_OTP__LIFETIME_S": str(_LIFETIME_S)}
        self.process.start([sys.executable, "-m", __name__, "run"], {**self._environment(), **lifetime})


def lifted(field: Callable[..., Any]) -> Callable[..., Any]:
    """Return pydantic's ``Field`` with the bound on the lifetime of a code lifted to a day."""

    def lift(*arguments: Any, **bounds: Any) -> Any:
        is_lifetime = _ALLOWED.items() <= bounds.items()
        return field(*arguments, **{**bounds, "le": _LONGEST_S} if is_lifetime else bounds)

    return lift


def main() -> None:
    """Be ``signin-worker``."""
    pydantic.Field = lifted(pydantic.Field)
    from signin_worker import main as be_the_worker  # defines its models, so after the bound is lifted

    be_the_worker()


if __name__ == "__main__":
    main()
