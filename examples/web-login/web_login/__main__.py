"""Serve the page: ``python -m web_login``."""

import uvicorn

from web_login.app import create_app
from web_login.settings import Settings


def main() -> None:
    """Serve until SIGTERM. Held requests are given up after two seconds."""
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
