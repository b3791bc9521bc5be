"""What can go wrong in a side effect, as the activities' ports raise it.

::

    SideEffectError
    ├── Unavailable            not now: try again, the same way
    │   ├── ChallengeUnavailable   siteverify slow, down, 5xx or lying
    │   ├── MailUnavailable        no answer or a 4xx answer from the mail server
    │   ├── PublishUnavailable     Kafka did not acknowledge the result
    │   ├── TemporalUnavailable    Temporal did not take the call
    │   └── UnknownKey             this worker does not hold the key (yet)
    └── Refused                never: trying again cannot help
        ├── MailRefused            a 5xx answer from the mail server
        ├── HandOverRefused        Temporal will never take this message
        └── CodeExpired            the code's lifetime is over: no mail any more

Texts are fixed: an answer of a server may hold an address or a code (SECURITY S8).
"""

from typing import ClassVar


class SideEffectError(Exception):
    """Base. ``text`` is all that leaves the process."""

    text: ClassVar[str] = "a side effect failed"

    def __init__(self) -> None:
        super().__init__(self.text)


class Unavailable(SideEffectError):
    """Raised when the same call may succeed later."""

    text = "a dependency is unavailable"


class ChallengeUnavailable(Unavailable):
    """Raised when siteverify gave no usable answer."""

    text = "siteverify gave no usable answer"


class MailUnavailable(Unavailable):
    """Raised when the mail server did not take the mail this time."""

    text = "the mail server did not take the mail"


class PublishUnavailable(Unavailable):
    """Raised when Kafka did not acknowledge a result in time."""

    text = "Kafka did not acknowledge the result"


class TemporalUnavailable(Unavailable):
    """Raised when a call to Temporal did not get through."""

    text = "Temporal did not take the call"


class UnknownKey(Unavailable):
    """Raised when a key id is not in this worker's ring: a rotation is under way."""

    text = "the key id is not in this worker's ring"


class Refused(SideEffectError):
    """Raised when trying again cannot help."""

    text = "a dependency refused"


class MailRefused(Refused):
    """Raised when the mail server answered 5xx."""

    text = "the mail server refused the mail"


class HandOverRefused(Refused):
    """Raised when Temporal will never take the message."""

    text = "Temporal refused the message"


class CodeExpired(Refused):
    """Raised when the code of a mail has expired: such a mail is never sent."""

    text = "the code has expired"
