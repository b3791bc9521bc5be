"""The mail catcher: a page in the browser with every mail that the demo's mail server received, newest first."""

from html import escape
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deploy.local.servers.mail_server import MailServer, ReceivedMail

_REFRESH_S: Final = 3
_MAX_MAILS: Final = 20
_STYLE: Final = """
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #16202e; }
article { margin-block: 1.5rem; border: 1px solid #b8c1cf; border-radius: .5rem; overflow: hidden; }
h2, p { margin: 0; padding: .5rem 1rem; font-size: 1rem; }
h2 + p { padding-block-start: 0; color: #4b5768; }
iframe { display: block; width: 100%; height: 30rem; border: 0; border-block-start: 1px solid #b8c1cf; }
"""


def mail_page(mail_server: MailServer) -> Starlette:
    """Return an application that shows the mails of ``mail_server``."""

    async def show(request: Request) -> Response:
        return HTMLResponse(_page(mail_server.mails), headers={"refresh": str(_REFRESH_S), "cache-control": "no-store"})

    return Starlette(routes=[Route("/", show)])


def _page(mails: list[ReceivedMail]) -> str:
    newest = reversed(mails[-_MAX_MAILS:])
    articles = "".join(map(_article, newest)) or "<p>No mail yet. This page looks for new ones by itself.</p>"

    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Mails</title><style>{_STYLE}</style><main><h1>Mails</h1>{articles}</main></html>"
    )


def _article(mail: ReceivedMail) -> str:
    """Return one mail. Its HTML is shown in a frame without any rights."""
    subject = escape(str(mail.message["Subject"]))
    details = escape(f"to {', '.join(mail.recipients)}, {mail.received_at.astimezone():%H:%M:%S}")
    body = escape(mail.text("html"), quote=True)

    return (
        f'<article><h2 dir="auto">{subject}</h2><p>{details}</p>'
        f'<iframe sandbox title="{subject}" srcdoc="{body}"></iframe></article>'
    )
