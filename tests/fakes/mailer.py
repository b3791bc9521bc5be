"""A mail server in memory."""

import asyncio
from collections import defaultdict, deque

from activities.errors import SideEffectError
from activities.ports import CodeMail


class FakeMailer:
    """Implements ``Mailer``: keeps accepted mails in ``sent``.

    ``answers[recipient]`` has one entry per try: an error class to raise, or None to accept.
    ``always[recipient]`` is raised once the entries are used up.
    """

    def __init__(self) -> None:
        self.sent: list[CodeMail] = []
        self.tried: list[CodeMail] = []
        self.answers: defaultdict[str, deque[type[SideEffectError] | None]] = defaultdict(deque)
        self.always: dict[str, type[SideEffectError]] = {}
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Make further mails wait for ``release``."""
        self._open.clear()

    def release(self) -> None:
        """Let waiting mails proceed."""
        self._open.set()

    def script(self, recipient: str, *answers: type[SideEffectError] | None) -> None:
        """Queue the answers of the next tries for one recipient."""
        self.answers[recipient].extend(answers)

    async def send(self, mail: CodeMail) -> None:
        """Accept the mail, or raise the scripted error."""
        self.tried.append(mail)
        await self._open.wait()

        queue = self.answers[mail.recipient]
        error = queue.popleft() if queue else self.always.get(mail.recipient)
        if error is not None:
            raise error
        self.sent.append(mail)
