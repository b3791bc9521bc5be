"""A timing is never a test: it lives in the benchmark."""

from hypothesis import settings


def test_no_property_has_a_deadline() -> None:
    """Hypothesis gives an example 200 ms unless it is told otherwise, and a busy machine takes longer."""
    assert settings().deadline is None
