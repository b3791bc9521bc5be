"""Why no connection comes about: aiokafka's clients log the reason, and raise that there is no connection."""

import asyncio
from typing import Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

from consumers.ports import KafkaUnavailable
from utils.kafka.access import KafkaAccess
from utils.kafka.error_table import Meaning, meaning, translate

_TIMEOUT_MS: Final = 5_000


async def refusal(access: KafkaAccess) -> KafkaUnavailable | None:
    """Return why the brokers refuse our login, or why we refuse their certificate; None if neither is the case."""
    options = access.options()
    hosts = collect_hosts(options.pop("bootstrap_servers"), randomize=False)

    for host, port, _ in hosts:
        try:
            connection = await create_conn(host, port, request_timeout_ms=_TIMEOUT_MS, **options)
        except (KafkaError, OSError, asyncio.TimeoutError) as error:
            if meaning(error) is Meaning.CONFIGURATION:
                return translate(error)
        else:
            connection.close()
            return None

    return None
