"""A worker whose codes live for hours. Settings allow ten minutes, in which one machine opens too few sign-ins."""

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final

import pydantic

from deploy.local.worker import LocalWorker

_BOUNDS: Final = {"ge": 5, "le": 600}
_MAX_LIFETIME_S: Final = 86_400
_LIFETIME_S: Final = 6 * 3_600


class PatientWorker(LocalWorker):
    """The real worker without that limit. Its other commands are unchanged, and use the real settings."""

    def launch(self) -> None:
        """Start the worker and return at once."""
        lifetime = {"SIGNIN_OTP__LIFETIME_S": str(_LIFETIME_S)}
        self.process.start([sys.executable, "-m", __name__, "run"], {**self._environment(), **lifetime})


def without_lifetime_limit(field: Callable[..., Any]) -> Callable[..., Any]:
    """Return pydantic's ``Field`` with the bound on the lifetime of a code without_lifetime_limit to a day."""

    def lift(*arguments: Any, **bounds: Any) -> Any:
        if _BOUNDS.items() <= bounds.items():
            bounds["le"] = _MAX_LIFETIME_S
        return field(*arguments, **bounds)

    return lift


def main() -> None:
    """Run ``signin-worker``."""
    pydantic.Field = without_lifetime_limit(pydantic.Field)
    signin_worker = importlib.import_module("signin_worker")  # only now, because it defines the settings' models
    signin_worker.main()


if __name__ == "__main__":
    main()
