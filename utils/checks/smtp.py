"""The check of the mail server: whether a mail could be handed over, and what to do if not."""

import ssl

import aiosmtplib

from utils.checks.finding import Finding
from utils.smtp.mailer import SmtpMailer

_PLACE = "SIGNIN_SMTP__HOST, __PORT and the network"
_TLS = "SIGNIN_SMTP__SECURITY and __PORT: 587 is usual for starttls, 465 for tls"
_LOGIN = "SIGNIN_SMTP__USERNAME and __PASSWORD"
_SENDER = "SIGNIN_SMTP__SENDER: letters beyond ASCII before the @ need a server that offers SMTPUTF8"


async def check_mail_server(mailer: SmtpMailer, place: str) -> Finding:
    """Connect as for a mail (EHLO, TLS, AUTH), then QUIT. Sends nothing."""
    try:
        tls_version = await mailer.probe()
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        problem, settings = _diagnosis(error)
        return Finding.failed("SMTP", f"{place} cannot be used: {problem}.", f"check {settings}.")

    security = f" over {tls_version}" if tls_version else ""
    return Finding.passed("SMTP", f"{place} accepts our connection{security}.")


def _diagnosis(error: Exception) -> tuple[str, str]:
    """Return what went wrong, and what to check. The server's own words are not repeated."""
    tls_error = next((each for each in (error, error.__cause__) if isinstance(each, ssl.SSLError)), None)

    match error:
        case _ if isinstance(tls_error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({tls_error.verify_message})", "SIGNIN_SMTP__HOST and __CAFILE"
        case _ if tls_error is not None:
            return "the TLS handshake fails", _TLS
        case aiosmtplib.SMTPAuthenticationError():
            return f"it refuses the login ({error.code})", _LOGIN
        case aiosmtplib.SMTPNotSupported() if str(error) == "SMTPUTF8":
            return "it cannot take mails from the sender's address", _SENDER
        case aiosmtplib.SMTPResponseException():
            return f"it answers {error.code}", f"{_PLACE}, and whether it accepts mail from this host"
        case TimeoutError():
            return "no answer in time", _PLACE
        case aiosmtplib.SMTPServerDisconnected():
            return "it closes the connection", _TLS
        case OSError():
            return "nobody answers", _PLACE
        case _ if "STARTTLS" in str(error).partition(".")[0]:  # aiosmtplib's own text, as in the next case
            return "it offers no STARTTLS", _TLS
        case _:
            return "it offers no login method that we support", f"{_LOGIN}; {_TLS}"
