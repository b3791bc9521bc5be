"""Publishes results to Kafka."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from temporalio import activity

from activities.audit import audit_result
from activities.ports import Publisher
from activities.reporting import context, failure, severity
from schemas.results import ResultEvent
from schemas.tasks import Publication, Published

logger = logging.getLogger(__name__)


class _Failed(NamedTuple):
    """A result that was not published, and why."""

    event: ResultEvent
    error: Exception


class PublishingActivities:
    """Activities that write to the results topic."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @activity.defn(name="publish_result_activity")
    async def publish_result_activity(self, publication: Publication) -> Published:
        """Return once Kafka has acknowledged every result. A retry publishes the same bytes.

        A sign-in's results go out one after the other: each once the one before it was
        acknowledged.
        """
        try:
            event = publication.events[0]
            ends = await asyncio.gather(*map(self._publish_in_order, _by_sign_in(publication.events)))
            for failed in filter(None, ends):
                event = failed.event
                raise failed.error

            return Published(event_ids=tuple(event.event_id for event in publication.events))
        except Exception as error:
            extra = context(error, signin_id=event.result.signin_id, result=event.result.type)
            logger.log(severity(error), "result not published", extra=extra)
            raise failure(error) from None

    async def _publish_in_order(self, events: Sequence[ResultEvent]) -> _Failed | None:
        """Publish the results of one sign-in, up to the first that Kafka does not take.

        Each is written to the audit trail as soon as it is acknowledged.
        """
        for event in events:
            try:
                await self._publisher.publish(event)
                audit_result(event)
            except Exception as error:
                return _Failed(event, error)

        return None


def _by_sign_in(events: Sequence[ResultEvent]) -> Collection[Sequence[ResultEvent]]:
    queues = defaultdict[str, list[ResultEvent]](list)
    for event in events:
        queues[event.result.signin_id].append(event)
    return queues.values()
