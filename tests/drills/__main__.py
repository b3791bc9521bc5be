"""Lose a part of the installation and bring it back: ``python -m tests.drills [NAME ...]``, a minute each."""

import argparse
import asyncio
import logging
import sys
import time
from contextlib import suppress

from deploy.local.worker import development_settings
from tests.drills.disasters import DRILLS
from tests.drills.region import Outside, Region


def main() -> int:
    """Return 0 if everything is as docs/disaster.md says, otherwise 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="Lose something, and bring it back.")
    parser.add_argument("drill", nargs="*", choices=[[], *DRILLS], metavar="NAME", help=f"of: {', '.join(DRILLS)}")
    names = parser.parse_args().drill or list(DRILLS)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics and brokers go away on purpose

    failed = [name for name in names if not asyncio.run(_drill(name))]
    print(f"{len(names) - len(failed)} of {len(names)} drills went as docs/disaster.md says")
    return 1 if failed else 0


async def _drill(name: str) -> bool:
    began = time.monotonic()
    outside = Outside()
    await outside.start()
    region = Region(outside, development_settings({}))
    print(f"{name}: {(DRILLS[name].__doc__ or '').splitlines()[0]}", flush=True)

    try:
        await region.start()
        await DRILLS[name](region, lambda text: print(f"  {text}", flush=True))
    except (AssertionError, TimeoutError) as error:
        print(f"  NOT AS EXPECTED: {type(error).__name__}: {error}\n{region.worker.process.last_output()}", flush=True)
        return False
    finally:
        with suppress(Exception):
            await region.stop()
        await outside.stop()

    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
