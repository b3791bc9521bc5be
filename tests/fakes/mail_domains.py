"""DNS in memory."""

from collections.abc import Iterable


class FakeMailDomains:
    """Implements ``MailDomains``: only domains in ``without_mail`` take no mail. ``asked`` keeps the calls."""

    def __init__(self, without_mail: Iterable[str] = ()) -> None:
        self.without_mail = set(without_mail)
        self.asked: list[str] = []

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether the domain takes mail. As in DNS, case does not matter."""
        self.asked.append(domain)
        return domain.lower() not in self.without_mail
