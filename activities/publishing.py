"""Publishes results to Kafka."""

import asyncio
import logging

from temporalio import activity

from activities.audit import audit_result
from activities.ports import Publisher
from activities.reporting import context, failure, severity
from schemas.results import ResultEvent
from schemas.tasks import Publication, Published

logger = logging.getLogger(__name__)


class PublishingActivities:
    """Activities that write to the results topic."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @activity.defn(name="publish_result_activity")
    async def publish_result_activity(self, publication: Publication) -> Published:
        """Return once Kafka has acknowledged every result. A retry publishes the same bytes.

        Each result is written to the audit trail as soon as it is acknowledged.
        """
        try:
            tries = map(self._publish, publication.events)
            ends = await asyncio.gather(*tries, return_exceptions=True)

            for event, end in zip(publication.events, ends, strict=True):
                if end is not None:
                    raise end

            return Published(event_ids=tuple(event.event_id for event in publication.events))
        except Exception as error:
            extra = context(error, signin_id=event.result.signin_id, result=event.result.type)
            logger.log(severity(error), "result not published", extra=extra)
            raise failure(error) from None

    async def _publish(self, event: ResultEvent) -> None:
        await self._publisher.publish(event)
        audit_result(event)
