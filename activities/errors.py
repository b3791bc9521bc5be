"""The errors that activities and their ports raise.

::

    SideEffectError
    ├── Unavailable
    │   ├── ChallengeUnavailable
    │   ├── MailUnavailable
    │   ├── PublishUnavailable
    │   ├── TaskLost
    │   ├── TemporalUnavailable
    │   └── UnknownKey
    └── Refused
        ├── MailRefused
        ├── HandOverRefused
        └── CodeExpired

An ``Unavailable`` call is retried as it is; a ``Refused`` one never. The texts are fixed,
because a server's answer may contain an address or a code (SECURITY S8).
"""

from typing import ClassVar


class SideEffectError(Exception):
    """Base of all. Only ``text`` leaves the process, and what ``details`` tell the workflow: no more than times."""

    text: ClassVar[str] = "a side effect failed"
    details: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__(self.text)


class Unavailable(SideEffectError):
    """Raised when the same call may succeed later."""

    text = "a dependency is unavailable"


class ChallengeUnavailable(Unavailable):
    """Raised when siteverify is slow or down, or answers with 5xx or invalid JSON."""

    text = "siteverify gave no usable answer"


class MailUnavailable(Unavailable):
    """Raised when the mail server does not answer, or answers 4xx."""

    text = "the mail server did not take the mail"


class PublishUnavailable(Unavailable):
    """Raised when the acknowledgement of a result is overdue."""

    text = "Kafka did not acknowledge the result"


class TemporalUnavailable(Unavailable):
    """Raised when a call did not get through."""

    text = "Temporal did not take the call"


class TaskLost(Unavailable):
    """Raised when a worker that was frozen is about to act for a workflow task that another has by now."""

    text = "the workflow task is too old"


class UnknownKey(Unavailable):
    """Raised while a rotation is under way, until this worker has the key too."""

    text = "the key id is not in this worker's ring"


class Refused(SideEffectError):
    """Raised when a retry cannot help."""

    text = "a dependency refused"


class MailRefused(Refused):
    """Raised for a 5xx answer. The workflow is told when it came."""

    text = "the mail server refused the mail"


class HandOverRefused(Refused):
    """Raised when Temporal will never take the message."""

    text = "Temporal refused the message"


class CodeExpired(Refused):
    """Raised instead of sending a mail whose code is no longer valid."""

    text = "the code has expired"
