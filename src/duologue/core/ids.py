"""Names for conversations that a person can say, type and remember: proquints.

Sixteen bits become five letters, consonant-vowel-consonant-vowel-consonant, as in
"A Proposal for Proquints" (D. S. Wilkerson, 2009). Three of them hold 48 bits: among 100,000
conversations the chance that any two agree is about 2 in 100,000. This module draws no chances.
"""

_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aiou"
ID_BYTES = 6


def speakable(number: bytes) -> str:
    """Bytes (an even count) as hyphenated proquints: ``7f000001`` is ``lusab-babad``."""
    pairs = zip(number[::2], number[1::2], strict=True)
    return "-".join(_quint(high << 8 | low) for high, low in pairs)


def _quint(word: int) -> str:
    """Sixteen bits as five letters."""
    return (
        _CONSONANTS[word >> 12 & 15]
        + _VOWELS[word >> 10 & 3]
        + _CONSONANTS[word >> 6 & 15]
        + _VOWELS[word >> 4 & 3]
        + _CONSONANTS[word & 15]
    )


def plain(identity: str) -> str:
    """An id or a prefix of one as it is compared: case and hyphens do not matter."""
    return identity.casefold().replace("-", "")
