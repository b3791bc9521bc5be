"""aiokafka's clients, opened and closed in bounded time. Their errors become ``KafkaUnavailable`` here.

Only the producer translates its own errors: it must also tell a record that is too large.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError, KafkaError

from consumers.ports import KafkaUnavailable
from utils.kafka.access import KafkaAccess
from utils.kafka.codecs import bound_decompression
from utils.kafka.error_table import translate
from utils.kafka.login import refusal

logger = logging.getLogger(__name__)

_ADMIN_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 5.0
_ASIDE: Final = "aside"  # besides aiokafka's own two kinds of connections to a broker


@asynccontextmanager
async def kafka_call(timeout_s: float | None) -> AsyncIterator[None]:
    """Raise what ``error_table`` says for every error of aiokafka in the block.

    Raises ``KafkaUnavailable`` after ``timeout_s`` seconds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        limit = "in time" if timeout_s is None else f"within {timeout_s:g} s"
        raise KafkaUnavailable(f"no answer {limit}") from None
    except (KafkaError, ConsumerStoppedError, OSError) as error:
        logger.debug("a call to Kafka failed", extra={"error": type(error).__name__})
        raise translate(error) from None


async def send_aside(client: Any, node: int, request: Any) -> Any:
    """Send a request on a connection of its own, and return the answer. Raises ``KafkaError``.

    On the consumer's connection it would wait for the fetch that waits there for records, for up to half a second.
    """
    return await client.send(node, request, group=_ASIDE)


@asynccontextmanager
async def kafka_admin(access: KafkaAccess) -> AsyncIterator[Any]:
    """Yield a connected admin client. Errors in the block are raised as ``KafkaUnavailable``.

    If the login is refused, the error says so.
    """
    admin = AIOKafkaAdminClient(**access.options())
    try:
        async with kafka_call(_ADMIN_TIMEOUT_S):
            try:
                await admin.start()
            except KafkaConnectionError as error:
                raise await refusal(access) or error from None
            yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def temporary_consumer(access: KafkaAccess, group_id: str | None = None) -> AsyncIterator[Any]:
    """Yield a consumer that the block starts; it is stopped at the end.

    It commits nothing by itself.
    """
    bound_decompression()
    consumer = AIOKafkaConsumer(**access.options(), group_id=group_id, enable_auto_commit=False)
    try:
        yield consumer
    finally:
        await stop_consumer(consumer)


async def start_consumer(consumer: Any, timeout_s: float) -> None:
    """Connect. After ``KafkaUnavailable``, or a cancellation, no connection is left open."""
    bound_decompression()
    try:
        async with kafka_call(timeout_s):
            await consumer.start()
    except BaseException:
        await stop_consumer(consumer)
        raise


async def stop_consumer(consumer: Any) -> None:
    """Stop within a few seconds even if the brokers are away, and close the connections in any case."""
    stopping = asyncio.ensure_future(consumer.stop())
    if await stopped_cleanly(stopping, _STOP_TIMEOUT_S):
        return

    logger.warning("a consumer did not stop cleanly")
    closing = asyncio.ensure_future(consumer._client.close())
    await stopped_cleanly(closing, _STOP_TIMEOUT_S)


async def stopped_cleanly(stopping: asyncio.Future[None], timeout_s: float) -> bool:
    """Wait for a client of aiokafka to stop; return false if it hangs or fails.

    The future is watched from outside. With the brokers away, ``stop`` may never end, or it
    may raise the cancellation of its own tasks, which would be taken for ours.
    """
    done, _ = await asyncio.wait({stopping}, timeout=timeout_s)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=timeout_s)

    return stopping.done() and not stopping.cancelled() and stopping.exception() is None
