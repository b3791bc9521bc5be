"""The workflow half, as ``python -m tests.simulation`` runs it."""

from typing import Final

from tests.simulation.workflows.plots import storm
from tests.simulation.workflows.world import simulate
from tests.simulation.halves import Half

HALF: Final = Half(simulate, storm)
