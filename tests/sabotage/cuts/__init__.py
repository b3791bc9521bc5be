"""All cuts, in the order of the rules. Each module holds those of one room."""

from typing import Final

from tests.sabotage.cuts import beyond, gateway, handling, polling
from tests.sabotage.rules import Cut

_ROOMS: Final = (polling.CUTS, handling.CUTS, gateway.CUTS, beyond.CUTS)

CUTS: Final[tuple[Cut, ...]] = tuple(sorted((cut for cuts in _ROOMS for cut in cuts), key=lambda cut: cut.rule))
