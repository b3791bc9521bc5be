"""What the activities of a mailbox do when its workflow is driven by hand, and how long they take."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_commands import ScheduleActivity

from schemas.results import ResultEvent
from schemas.tasks import CodeToVerify, CodeVerdict, MailAccepted, Publication, Published
from tests.fakes.mailbox_world import RIGHT
from tests.fakes.workflow_instances import from_payload

PUBLISH: Final = "publish_result_activity"
_NORMAL_PRIORITY: Final = 3


class DrivenWork:
    """A code is right if its seal equals ``RIGHT``; every mail and every publication is accepted.

    A mail takes ``mail_s``, including the time that it waits for its turn; ``first_mail_s`` if it
    goes before those of normal priority.
    """

    def __init__(self, *, publish_s: float = 0, mail_s: float = 0, first_mail_s: float = 0) -> None:
        self.published: list[ResultEvent] = []
        self.mails = 0

        self._publish_s = publish_s
        self._mail_s = mail_s
        self._first_mail_s = first_mail_s

    def duration(self, activity: ScheduleActivity) -> timedelta:
        """Return how long a normal activity takes."""
        match activity.activity_type:
            case "publish_result_activity":
                return timedelta(seconds=self._publish_s)
            case "send_email_activity":
                is_normal = activity.priority.priority_key >= _NORMAL_PRIORITY
                return timedelta(seconds=self._mail_s if is_normal else self._first_mail_s)
            case _:
                return timedelta(seconds=0.01)

    def do(self, kind: str, task: Payload, now: datetime) -> BaseModel:
        """Do what an activity does, and return its result."""
        match kind:
            case "verify_otp_activity":
                compare: CodeToVerify = from_payload(task, CodeToVerify)
                return CodeVerdict(correct=compare.seal == RIGHT)
            case "send_email_activity":
                self.mails += 1
                return MailAccepted(at=now)
            case "publish_result_activity":
                publication: Publication = from_payload(task, Publication)
                self.published += publication.events
                return Published(event_ids=tuple(event.event_id for event in publication.events))
            case other:
                raise AssertionError(f"unexpected activity {other}")
