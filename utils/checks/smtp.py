"""What a check says of the mail server: how far we got, and what to do where we got no further."""

import ssl

import aiosmtplib

from utils.smtp.mailer import SmtpMailer
from utils.checks.finding import Finding

_PLACE = "SIGNIN_SMTP__HOST, __PORT and the network"
_TLS = "SIGNIN_SMTP__SECURITY and __PORT: 587 is usual for starttls, 465 for tls"
_LOGIN = "SIGNIN_SMTP__USERNAME and __PASSWORD"


async def check_mail_server(mailer: SmtpMailer, place: str) -> Finding:
    """Get in as for a mail (EHLO, TLS, AUTH), and leave by QUIT. Sends nothing."""
    try:
        version = await mailer.probe()
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        text, fix = _trouble(error)
        return Finding("SMTP", False, f"{place} does not let us in: {text}.", f"check {fix}.")
    return Finding("SMTP", True, f"{place} lets us in{f', by {version}' if version else ''}.")


def _trouble(error: Exception) -> tuple[str, str]:
    """Tell what went wrong, and what to check. A server's own words are not repeated."""
    cause = next((each for each in (error, error.__cause__) if isinstance(each, ssl.SSLError)), None)
    match error:
        case _ if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})", "SIGNIN_SMTP__HOST and __CAFILE"
        case _ if cause is not None:
            return "it speaks no TLS that we know", _TLS
        case aiosmtplib.SMTPAuthenticationError():
            return f"it refuses the login ({error.code})", _LOGIN
        case aiosmtplib.SMTPResponseException():
            return f"it answers {error.code}", f"{_PLACE}, and whether it takes mail from here"
        case TimeoutError():
            return "no answer in time", _PLACE
        case aiosmtplib.SMTPServerDisconnected():
            return "it hangs up", _TLS
        case OSError():
            return "nobody answers", _PLACE
        case _ if "STARTTLS" in str(error).partition(".")[0]:  # aiosmtplib's own words, as those below
            return "it offers no STARTTLS", _TLS
        case _:
            return "it offers no login that we know", f"{_LOGIN}; {_TLS}"
