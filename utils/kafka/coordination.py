"""The errors of aiokafka's coordinator, which joins the group and keeps the membership in the background.

It keeps an error until a poll takes it. Until then it neither joins nor sends heartbeats: the group loses this member.
"""

from typing import Any


def raise_coordination_error(consumer: Any) -> None:
    """Raise the error that the coordinator keeps, if there is one, so that it goes on.

    After an error in its heartbeats, or when it fetched committed offsets, it joins the group again: such a task ends
    for ever, and its error comes again and again. Only joining starts it anew.
    """
    coordinator = consumer._coordinator
    tasks = (coordinator._heartbeat_task, coordinator._commit_refresh_task)
    if any(task and task.done() and not task.cancelled() and task.exception() for task in tasks):
        coordinator.request_rejoin()

    coordinator.check_errors()
