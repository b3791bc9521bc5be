"""Every number that the settings accept works: a consumer and activities are built with it, and a mailbox lives."""

import typing
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from typing import Any, Final, cast

import pytest
from temporalio.client import Client

from consumers.handling.dead_lettering import DeadLetterBreaker
from schemas.policy import Policy
from signin_worker import _activities, build_consumer, dead_letter_limits
from tests.fakes.driven_mailbox import DrivenMailbox
from tests.fakes.driven_people import challenge, outcomes, sign_in, spent
from tests.fakes.environments import DEVELOPMENT
from tests.fakes.mailbox_world import RIGHT, WRONG
from tests.fakes.publisher import FakePublisher
from utils.prometheus import Metrics
from utils.settings.environment import Variable, variables
from utils.settings.loading import Settings, SettingsError, load_settings
from utils.wiring import Wiring
from workflows.timeouts import challenge_limit, issue_limit, mail_timeout

BEYOND_REASON: Final = {"1000000000000000000", "0.000000001", "inf", "nan"}
A_DAY_S: Final = 86_400


def is_number(variable: Variable) -> bool:
    """Tell whether a setting is a number, optional or not."""
    kind = variable.field.annotation
    return not {int, float}.isdisjoint({kind, *typing.get_args(kind)})


def extremes() -> Iterator[Any]:
    """Yield every number among the settings with its bounds, and with values that no bound allows for."""
    for variable in filter(is_number, variables(Settings)):
        bounds = {str(getattr(each, name, "")) for each in variable.field.metadata for name in ("ge", "le")}
        for value in sorted((bounds - {""}) | BEYOND_REASON):
            yield pytest.param(variable.name, value, id=f"{variable.name}={value}")


async def build(settings: Settings, policy: Policy) -> None:
    """Compose what reads the settings, as far as that needs no server."""
    wiring = Wiring(settings)
    metrics = Metrics()
    nobody = cast(Client, None)

    async with AsyncExitStack() as stack:
        build_consumer(wiring, policy, nobody, metrics, DeadLetterBreaker(dead_letter_limits(settings)), stack)
        _activities(wiring, nobody, FakePublisher(), stack)
        stack.push_async_callback(wiring.mailer().close)


def live(policy: Policy) -> None:
    """Use a mailbox for two days."""
    with closing(DrivenMailbox(policy)) as mailbox:
        sign_in(mailbox, "s" * 22, WRONG)
        mailbox.signal(challenge(mailbox, "s" * 22, attempt=2))
        sign_in(mailbox, "t" * 22, WRONG, RIGHT)
        spent(mailbox)
        mailbox.wait(2 * A_DAY_S)

        ends = outcomes(mailbox, "s" * 22) + outcomes(mailbox, "t" * 22)
        assert "signin.failed delivery_failed" not in ends, "an error in the rules ends a sign-in like this"


@pytest.mark.parametrize(("name", "value"), [*extremes()])
async def test_what_is_accepted_works(name: str, value: str) -> None:
    """What would raise in the middle of a sign-in, or leave no time for a try, is refused at the start."""
    try:
        settings = load_settings(DEVELOPMENT | {"SIGNIN_REPLAY_HORIZON_S": "31536000", name: value})
    except SettingsError as error:
        assert name in error.problems[0] or "SIGNIN_REPLAY_HORIZON_S" in error.problems[0]
        return

    policy = settings.policy()
    await build(settings, policy)
    live(policy)

    for timeout in (mail_timeout(policy), challenge_limit(policy), issue_limit(policy)):
        assert timeout > timedelta()
