"""The search attributes of a mailbox: sign-ins in progress, and the longest lock.

Search attributes are not encrypted, and neither of these says anything about a person. In a
namespace that does not have them, setting one fails the workflow task, so they are set only
if the policy says that the namespace has them.
"""

from datetime import datetime
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, SearchAttributeUpdate
from temporalio.common import TypedSearchAttributes

from workflows.names import LOCKED_UNTIL_ATTRIBUTE, STATE_ATTRIBUTE

_STATE: Final = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
_LOCKED_UNTIL: Final = SearchAttributeKey.for_datetime(LOCKED_UNTIL_ATTRIBUTE)

INITIAL_ATTRIBUTES: Final = TypedSearchAttributes([SearchAttributePair(_STATE, "waiting")])
"""Set when a mailbox is started with a sign-in. Set at the start, they cost no event of their own."""


class Visibility:
    """Keeps a mailbox's search attributes up to date.

    Sets only what changed: each change is an event.
    """

    def __init__(self) -> None:
        current = workflow.info().typed_search_attributes
        self._state = current.get(_STATE)
        self._locked_until = current.get(_LOCKED_UNTIL)

    def update(self, *, has_live_sign_ins: bool, locked_until: datetime | None) -> None:
        """Set the attributes that differ from what is shown now."""
        changes: list[SearchAttributeUpdate[str] | SearchAttributeUpdate[datetime]] = []

        state = "waiting" if has_live_sign_ins else "resting"
        if state != self._state:
            changes.append(_STATE.value_set(state))
            self._state = state

        if self._is_news(locked_until):
            unset = _LOCKED_UNTIL.value_unset()
            changes.append(_LOCKED_UNTIL.value_set(locked_until) if locked_until else unset)
            self._locked_until = locked_until

        if changes:
            workflow.upsert_search_attributes(changes)

    def _is_news(self, locked_until: datetime | None) -> bool:
        """Tell whether to show another lock.

        One that ran out by itself stays: its time says that it is over.
        """
        if locked_until == self._locked_until:
            return False

        shown_is_ahead = self._locked_until is not None and self._locked_until > workflow.now()
        return locked_until is not None or shown_is_ahead
