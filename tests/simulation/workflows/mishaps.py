"""What befalls workers, the server and the world around them. Each mishap ends by itself."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from schemas.limits import LimitsQuery, LimitsReport
from tests.simulation.workflows import people
from tests.fakes.workflow_instances import from_payload, to_payload
from workflows.names import LIMITS_QUERY, STATUS_QUERY, VERIFY_OTP_WORKFLOW

if TYPE_CHECKING:
    from tests.simulation.workflows.world import World

Move = Callable[["World", random.Random], None]

_SPANS_S: Final = (0.5, 3.0, 15.0, 40.0, 400.0)


def kill_worker(world: "World", rng: random.Random) -> None:
    """Kill a worker. A supervisor starts another."""
    if world.workers:
        rng.choice(world.workers).kill()


def stop_all_workers(world: "World", rng: random.Random) -> None:
    """Have no worker for a while, for hours perhaps."""
    world.close_shop(rng.choice((5.0, 60.0, 310.0, 1_000.0, 8_000.0)))


def stop_at_expiry(world: "World", rng: random.Random) -> None:
    """Have no worker when a code expires, though people typed codes shortly before, and for some time after."""
    stop_s = world.policy.otp.lifetime_s - rng.uniform(1.5, 15.0)
    people.come_late(world, rng, stop_s + rng.uniform(-0.3, 0.5))
    world.agenda.later(stop_s, lambda: world.close_shop(rng.choice((20.0, 60.0, 200.0))))
    acts = (people.type_right, people.type_wrong, people.type_for_another, people.send_again)
    for act in rng.choices(acts, k=rng.randint(0, 2)):
        world.agenda.later(stop_s + rng.uniform(-1.0, 15.0), partial(act, world, random.Random(rng.getrandbits(64))))


def stop_after_mail(world: "World", rng: random.Random) -> None:
    """Have no worker from the moment that a mail is accepted until its code expires. People type codes meanwhile."""
    seconds = world.policy.otp.lifetime_s + rng.uniform(-5.0, 30.0)
    world.after_mail = lambda: world.close_shop(seconds)
    people.sign_in(world, rng)
    acts = (people.type_right, people.type_wrong, people.send_again)
    for act in rng.choices(acts, k=rng.randint(1, 3)):
        world.agenda.later(rng.uniform(1.0, 20.0), partial(act, world, random.Random(rng.getrandbits(64))))


def freeze_after_resend(world: "World", rng: random.Random) -> None:
    """Let the worker that hears of a second mail freeze before it tells of it. Meanwhile people type the code."""

    def freeze() -> None:
        world.hire()
        _set(world, rng, world.temporal.pauses.mood, "local_freezes", 1.0, lasts_s=0.5)
        world.agenda.later(rng.uniform(0.5, 9.0), partial(people.type_newest, world, rng))

    world.after_resend = freeze
    people.ask_twice(world, rng)


def stop_after_verdict(world: "World", rng: random.Random) -> None:
    """Let the worker that publishes the next verdict die at once. The others are slow, and then there is none."""

    def be_slow() -> None:
        world.temporal.pauses.mood.slow_locals = 0.9
        world.temporal.pauses.mood.slow_work = 1.0
        world.agenda.later(12.0, lambda: world.close_shop(400.0))
        world.agenda.later(15.0, be_quick)

    def be_quick() -> None:
        world.temporal.pauses.mood.slow_locals = 0.0
        world.temporal.pauses.mood.slow_work = 0.0

    world.story.add("a worker is to die after a verdict")
    world.hire()
    world.outside.after_verdict = be_slow
    people.visit(world, rng)


def refuse_mails_again(world: "World", rng: random.Random) -> None:
    """Let people ask for a code again just when the mail server refuses mails."""
    people.visit(world, rng)
    after_s = 3.0 + world.policy.limits.send_cooldown_s
    people.send_again(world, rng)
    world.agenda.later(after_s - 1.0, lambda: setattr(world.outside.weather, "mail_never", rng.choice((0.5, 1.0))))
    world.agenda.later(after_s, partial(people.send_again, world, rng))
    world.agenda.later(after_s + 6.0, lambda: setattr(world.outside.weather, "mail_never", 0.0))


def flood_without_kafka(world: "World", rng: random.Random) -> None:
    """Let a mailbox decide more than it can publish: Kafka is away, and events keep coming."""
    world.outside.weather.kafka_down = 1.0
    world.story.add("kafka down", "1.0")
    world.agenda.later(rng.uniform(5.0, 60.0), lambda: setattr(world.outside.weather, "kafka_down", 0.0))
    for number in range(rng.randint(1, 3)):
        act = rng.choice((people.guess, people.visit, people.visit, people.type_for_another))
        world.agenda.later(3.0 * number, partial(act, world, random.Random(rng.getrandbits(64))))


def freeze_worker(world: "World", rng: random.Random) -> None:
    """Freeze a worker in the middle of whatever it does."""
    if world.workers:
        worker = rng.choice(world.workers)
        worker.freeze()
        world.agenda.later(rng.choice((1.0, 9.0, 11.0, 30.0, 320.0)), worker.thaw)
        if rng.random() < 0.7:
            world.hire()


def die_after_effects(world: "World", rng: random.Random) -> None:
    """Let workers die right after they did something outside. Others take over."""
    world.hire()
    _set(world, rng, world.outside.weather, "deaths", rng.choice((0.2, 0.5)))


def die_before_answers(world: "World", rng: random.Random) -> None:
    """Let workers die just before they complete a task. What they did outside is done."""
    world.hire()
    _set(world, rng, world.temporal.pauses.mood, "crashes", rng.choice((0.2, 0.6)))


def freeze_before_answers(world: "World", rng: random.Random) -> None:
    """Let workers freeze just before they complete a task. Others do it again, and the frozen ones thaw later."""
    world.hire()
    _set(world, rng, world.temporal.pauses.mood, "freezes", rng.choice((0.1, 0.3)))


def freeze_before_effects(world: "World", rng: random.Random) -> None:
    """Let workers freeze just before they do something outside in a task. By then it is another's."""
    world.hire()
    _set(world, rng, world.temporal.pauses.mood, "local_freezes", rng.choice((0.1, 0.3)))


def slow_down(world: "World", rng: random.Random) -> None:
    """Let messages between server and workers take seconds."""
    _set(world, rng, world.temporal.pauses.mood, "slow", rng.choice((0.1, 0.5)))


def slow_locals(world: "World", rng: random.Random) -> None:
    """Let local activities take longer than they may."""
    _set(world, rng, world.temporal.pauses.mood, "slow_locals", rng.choice((0.2, 0.9)))


def slow_compares(world: "World", rng: random.Random) -> None:
    """Let compares take seconds, while more comes into a mailbox than its run may have."""
    people.visit(world, rng)
    acts = (people.type_wrong, people.flood, people.type_right, people.type_wrong, people.type_wrong)
    for number, act in enumerate(acts):
        world.agenda.later(4.0 + number, partial(act, world, random.Random(rng.getrandbits(64))))
    for name in ("slow_locals", "slow_work"):
        world.agenda.later(3.0, partial(setattr, world.temporal.pauses.mood, name, 1.0))
        world.agenda.later(15.0, partial(setattr, world.temporal.pauses.mood, name, 0.0))


def slow_work(world: "World", rng: random.Random) -> None:
    """Let activities take longer than they may."""
    _set(world, rng, world.temporal.pauses.mood, "slow_work", rng.choice((0.2, 0.7)))


def lose_answers(world: "World", rng: random.Random) -> None:
    """Lose the answers of activities that did their work."""
    _set(world, rng, world.temporal.pauses.mood, "lost_answers", rng.choice((0.1, 0.5)))


def evict_runs(world: "World", rng: random.Random) -> None:
    """Let workers forget runs."""
    _set(world, rng, world.temporal.pauses.mood, "evictions", 0.5)


def slow_mails(world: "World", rng: random.Random) -> None:
    """Let mails wait for their turn, and mail servers take their time."""
    _set(world, rng, world.temporal.pauses.mood, "long_mails", 0.8)


def trouble_outside(world: "World", rng: random.Random) -> None:
    """Let the mail server, siteverify or Kafka fail, before or after they did what they were asked."""
    names = ("mail_later", "mail_never", "mail_unanswered", "siteverify_down", "kafka_down", "kafka_unanswered")
    _set(world, rng, world.outside.weather, rng.choice(names), rng.choice((0.2, 0.6, 1.0)))


def lose_calls(world: "World", rng: random.Random) -> None:
    """Lose calls to Temporal, or their answers."""
    _set(world, rng, world.client.calls, rng.choice(("lost", "unanswered")), rng.choice((0.2, 0.6)))


def read_late(world: "World", rng: random.Random) -> None:
    """Let events take long from their emitter to their reader."""
    _set(world, rng, world.consumers.reading, "late", 0.7)


def read_again(world: "World", rng: random.Random) -> None:
    """Read most events twice."""
    _set(world, rng, world.consumers.reading, "again", 0.6)


def rewind(world: "World", rng: random.Random) -> None:
    """Read both topics again from their beginning, at once, later, or a day later."""
    world.story.add("topics read again")
    world.consumers.rewind(rng.choice((1.0, 100.0, 650.0, 5_000.0, 90_000.0)))


def stop_reading(world: "World", rng: random.Random) -> None:
    """Have no consumer for a while."""
    world.consumers.away = True
    world.story.add("consumers away")
    world.agenda.later(rng.choice((2.0, 30.0, 90.0, 320.0)), world.consumers.come_back)


def ask(world: "World", rng: random.Random) -> None:
    """Query mailboxes, as operators do."""
    for run in world.temporal.runs:
        if run.is_open and run.beginning.kind == VERIFY_OTP_WORKFLOW:
            account = next(filter(None, (story.account for story in world.ledger.sign_ins.values())), "nobody")
            query = LimitsQuery(account=account, as_of=world.agenda.datetime())
            world.temporal.query(run, STATUS_QUERY, [])
            answer = world.temporal.query(run, LIMITS_QUERY, [to_payload(query)])
            if answer is not None:
                _judge(world, from_payload(answer, LimitsReport))


def _judge(world: "World", report: LimitsReport) -> None:
    """Accuse a mailbox that says itself that more is spent than there is."""
    for use in report.budgets:
        is_over_hour = use.most_per_hour is not None and use.last_hour > use.most_per_hour
        is_over_share = use.most_by_one_network is not None and use.by_one_network > use.most_by_one_network
        if is_over_hour or is_over_share or use.last_day > use.most_per_day:
            world.temporal.accuse(f"{use.budget}: {use.last_hour} in an hour, {use.last_day} in a day")


def roll_out(world: "World", rng: random.Random) -> None:
    """Start workers of the other release, and make it current. The former one's workers stop some time later."""
    former = world.temporal.current_release
    newer = "2" if former == "1" else "1"
    world.hire(newer)
    world.agenda.later(rng.uniform(0, 5), lambda: world.promote(newer))
    if rng.random() < 0.3:
        world.agenda.later(rng.uniform(5, 60), lambda: world.promote(former))


def _set(world: "World", rng: random.Random, what: Any, name: str, value: float, lasts_s: float | None = None) -> None:
    """Let something go wrong for a while."""
    usual = type(what).__dataclass_fields__[name].default
    setattr(what, name, value)
    world.story.add(name.replace("_", " "), f"{value}")
    world.agenda.later(lasts_s or rng.choice(_SPANS_S), lambda: setattr(what, name, usual))


MISHAPS: Final[Sequence[Move]] = (
    kill_worker,
    kill_worker,
    stop_all_workers,
    stop_at_expiry,
    stop_at_expiry,
    refuse_mails_again,
    stop_after_mail,
    freeze_after_resend,
    stop_after_verdict,
    flood_without_kafka,
    freeze_worker,
    freeze_worker,
    die_after_effects,
    die_after_effects,
    die_before_answers,
    die_before_answers,
    freeze_before_answers,
    freeze_before_effects,
    slow_down,
    slow_locals,
    slow_compares,
    slow_work,
    lose_answers,
    evict_runs,
    slow_mails,
    trouble_outside,
    trouble_outside,
    trouble_outside,
    lose_calls,
    read_late,
    read_again,
    stop_reading,
    rewind,
    ask,
    roll_out,
)
