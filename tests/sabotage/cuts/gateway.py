"""Cuts in the Temporal gateway: starts, breaker, limiter."""

from typing import Final

from tests.sabotage.rules import Cut

_C = "consumers"
_T = "tests/unit/consumers"

CUTS: Final = (
    Cut(
        2,
        "a closed sign-in can be started again",
        f"{_C}/gateway/temporal.py",
        "id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE",
        "id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE",
        f"{_T}/gateway/test_temporal.py::test_a_request_starts_its_workflow_once",
    ),
    Cut(
        6,
        "the breaker never opens",
        f"{_C}/gateway/breaker.py",
        "            self._closed.clear()\n",
        "            pass\n",
        f"{_T}/polling/test_loop.py::test_an_outage_of_temporal_pauses_intake_and_ends_by_itself",
    ),
    Cut(
        6,
        "an open breaker lets every call through",
        f"{_C}/gateway/breaker.py",
        "            async with self._probe:\n",
        "            if True:\n",
        f"{_T}/gateway/test_breaker.py",
    ),
    Cut(
        6,
        "an open breaker stops intake even if no call can probe",
        f"{_C}/gateway/breaker.py",
        "return self.is_open and self._probe.locked()",
        "return self.is_open",
        f"{_T}/gateway/test_breaker.py::test_an_open_breaker_without_a_probe_lets_intake_go_on",
    ),
    Cut(
        10,
        "the limit ignores latency",
        f"{_C}/gateway/limiter.py",
        "min(1.0, _TOLERANCE / slowdown)",
        "min(1.0, 1.0)",
        f"{_T}/gateway/test_guard_under_load.py::test_it_gets_what_the_server_can_do_without_making_it_slow",
    ),
    Cut(
        10,
        "the limit ignores throttling",
        f"{_C}/gateway/limiter.py",
        "_BACK_OFF: Final = 0.5",
        "_BACK_OFF: Final = 1.0",
        "tests/properties/test_limiter.py::test_calls_that_fail_together_shrink_it_once",
    ),
)
