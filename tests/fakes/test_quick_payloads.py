"""The short way gives what the workers' own converter gives."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas.limits import Clearing
from tests.fakes.quick_payloads import REAL, QuickPayloads

CLEARING = Clearing(account="a", mails=True, failures=False, operator="grace", masked="a***@e***.com")
QUICK = QuickPayloads()


@pytest.mark.parametrize("value", [CLEARING, None, "text", b"bytes", 7, [CLEARING], {"key": [1, None]}])
def test_the_bytes_are_the_same(value: Any) -> None:
    """Of models, and of everything else."""
    (payload,) = QUICK.to_payloads([value])

    assert payload == REAL.to_payload(value)
    assert QUICK.from_payload(payload) == REAL.from_payload(payload)


@pytest.mark.parametrize(("kind", "value"), [(Clearing, CLEARING), (str, "text"), (list[Clearing], [CLEARING])])
def test_what_is_decoded_is_the_same(kind: Any, value: Any) -> None:
    """With a type that is a model, and with one that is not."""
    assert QUICK.from_payloads(REAL.to_payloads([value]), [kind]) == [value]


def test_what_does_not_fit_is_refused_alike() -> None:
    """With pydantic's own error."""
    payloads = REAL.to_payloads(["no clearing"])

    for converter in (QUICK, REAL):
        with pytest.raises(ValidationError):
            converter.from_payloads(payloads, [Clearing])


def test_a_model_that_is_no_json_is_left_to_the_real_one() -> None:
    """Nothing is where a model is expected."""

    class Empty(BaseModel):
        """A model."""

    assert QUICK.from_payloads(REAL.to_payloads([None]), [Empty]) == [None]
