"""What the list of workflows shows of a mailbox: whether sign-ins wait there, and until when an account is locked.

Search attributes are not encrypted: neither says anything about anybody. A namespace that does not know them fails the
workflow task that sets one, so they are set only where the policy says that it does.
"""

from datetime import datetime
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, SearchAttributeUpdate
from temporalio.common import TypedSearchAttributes

from workflows.names import LOCKED_UNTIL_ATTRIBUTE, STATE_ATTRIBUTE

_STATE: Final = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
_LOCKED_UNTIL: Final = SearchAttributeKey.for_datetime(LOCKED_UNTIL_ATTRIBUTE)

WAITING: Final = TypedSearchAttributes([SearchAttributePair(_STATE, "waiting")])
"""What a mailbox is started with when a sign-in is handed to it: it costs no event of its own."""


class Visibility:
    """Shows changes only: each is an event of the history."""

    def __init__(self) -> None:
        shown = workflow.info().typed_search_attributes
        self._state = shown.get(_STATE)
        self._locked_until = shown.get(_LOCKED_UNTIL)

    def show(self, *, waiting: bool, locked_until: datetime | None) -> None:
        """Show how the mailbox stands. A lock that has ended by the clock is not taken back: its time tells."""
        changes: list[SearchAttributeUpdate[str] | SearchAttributeUpdate[datetime]] = []
        state = "waiting" if waiting else "resting"
        if state != self._state:
            changes.append(_STATE.value_set(state))
        if locked_until != self._locked_until and (locked_until or _is_ahead(self._locked_until)):
            changes.append(_LOCKED_UNTIL.value_set(locked_until) if locked_until else _LOCKED_UNTIL.value_unset())
            self._locked_until = locked_until
        self._state = state
        if changes:
            workflow.upsert_search_attributes(changes)


def _is_ahead(moment: datetime | None) -> bool:
    return moment is not None and moment > workflow.now()
