"""A mail server in memory."""

from collections import defaultdict, deque

from activities.errors import SideEffectError
from activities.ports import CodeMail


class FakeMailer:
    """Fulfils ``Mailer``: keeps what it accepts in ``sent``; answers with scripted errors first.

    ``answers[recipient]`` is a queue, one entry per try: an error class to raise, or None to accept.
    """

    def __init__(self) -> None:
        self.sent: list[CodeMail] = []
        self.tried: list[CodeMail] = []
        self.answers: defaultdict[str, deque[type[SideEffectError] | None]] = defaultdict(deque)
        self.always: dict[str, type[SideEffectError]] = {}

    def script(self, recipient: str, *answers: type[SideEffectError] | None) -> None:
        """Queue the answers of the next tries for one recipient."""
        self.answers[recipient].extend(answers)

    async def send(self, mail: CodeMail) -> None:
        """Accept the mail, or raise what was scripted."""
        self.tried.append(mail)
        queue = self.answers[mail.recipient]
        error = queue.popleft() if queue else self.always.get(mail.recipient)
        if error is not None:
            raise error
        self.sent.append(mail)
