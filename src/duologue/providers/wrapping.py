"""Everything that is put around a provider, in one place and in the one right order."""

from duologue.core.provider import Provider
from duologue.providers.pacing import Paced, paces
from duologue.providers.pricing import SPOKEN, Priced
from duologue.providers.retrying import Retrying

UNPACED = SPOKEN | {"function", "local"}
"""Providers that nothing lies between: they have no rate, and asking again would not help."""


def wrapped(provider: Provider, key: str | None = None) -> Provider:
    """A provider that keeps to its model's pace, asks again, and says what it cost.

    Call it in a running event loop: the pace is shared by all that runs in it.

    Args:
        provider: who is asked.
        key: the secret with which it is asked, if any; only its fingerprint is kept.
    """
    if provider.seat.provider in UNPACED:
        return Priced(provider)
    return Priced(Retrying(Paced(provider, paces().of(provider.seat, key))))
