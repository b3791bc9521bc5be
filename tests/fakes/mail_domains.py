"""DNS in memory."""

from collections.abc import Iterable


class FakeMailDomains:
    """Fulfils ``MailDomains``: every domain takes mail but those in ``without_mail``; ``asked`` keeps the questions."""

    def __init__(self, without_mail: Iterable[str] = ()) -> None:
        self.without_mail = set(without_mail)
        self.asked: list[str] = []

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether the domain takes mail. Names have no case, as in DNS."""
        self.asked.append(domain)
        return domain.lower() not in self.without_mail
