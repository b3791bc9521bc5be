"""The consumer half, as ``python -m tests.simulation`` runs it."""

from typing import Final

from tests.simulation.consumer.plots import storm
from tests.simulation.consumer.world import simulate
from tests.simulation.halves import Half

HALF: Final = Half(simulate, storm)
