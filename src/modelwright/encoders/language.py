"""The main language of texts: by script, and among Latin scripts by frequent words.

Good enough to choose a base model and a tokenizer; not a language identifier for single texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

_SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "latin": ((0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x250)),
    "han": ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000)),
    "kana": ((0x3040, 0x3100),),
    "hangul": ((0xAC00, 0xD7B0), (0x1100, 0x1200)),
    "cyrillic": ((0x400, 0x530),),
    "arabic": ((0x600, 0x780),),
    "devanagari": ((0x900, 0x980),),
    "thai": ((0xE00, 0xE80),),
    "greek": ((0x370, 0x400),),
    "hebrew": ((0x590, 0x600),),
}
_BY_SCRIPT = {
    "hangul": "ko", "cyrillic": "ru", "arabic": "ar", "devanagari": "hi", "thai": "th",
    "greek": "el", "hebrew": "he", "han": "zh",
}  # fmt: skip
_FREQUENT = {
    "en": "the and is to of it you that for my was with on have not this are what how can i",
    "de": "der die das und ist nicht ich ein eine zu mit den auf für sie wie es von",
    "fr": "le les des et est une pas je que pour dans ce sur avec du vous la qui",
    "es": "el los las y es una no que por para con se lo como mi en su del",
    "pt": "o os as e é uma não que para com se do da em um por mais meu",
    "it": "il gli che di è una non per con si le sono mi come della del ho",
    "nl": "het een en is niet ik van dat de op te met voor zijn je maar ook",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}
_SPOKEN = {
    word: tuple(name for name, known in _WORDS.items() if word in known)
    for word in frozenset().union(*_WORDS.values())
}
"""The languages in which a word is frequent."""
_WORD = re.compile(r"[^\W\d_]+")
_KANA_SHARE = 0.1
_HAN_SHARE = 0.3
_LOOK_TEXTS = 5_000


def code_points(texts: Iterable[str]) -> np.ndarray:
    """All characters of all texts as uint32."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "replace"), dtype="<u4")


def script_shares(texts: Iterable[str]) -> dict[str, float]:
    """Share of each script among the letters, largest first; tiny ones left out.

    A Chinese character says about as much as a word, so it counts like three letters.
    """
    points = code_points(texts)
    counts = {
        name: sum(int(((points >= low) & (points < high)).sum()) for low, high in ranges)
        for name, ranges in _SCRIPTS.items()
    }
    for name in ("han", "kana", "hangul"):
        counts[name] *= 3
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return {name: round(n / total, 4) for name, n in ranked if total and n / total >= 0.001}


def main_language(texts: list[str]) -> tuple[str, dict[str, float]]:
    """Two-letter code of the main language ("" when there are no letters) and the script shares."""
    shares = script_shares(texts)
    if not shares:
        return "", shares
    if shares.get("kana", 0) > _KANA_SHARE:
        return "ja", shares
    if shares.get("han", 0) > _HAN_SHARE:
        return "zh", shares
    script = next(iter(shares))
    if script == "latin":
        return _latin_language(texts[:_LOOK_TEXTS]), shares
    return _BY_SCRIPT.get(script, ""), shares


def language_of(text: str) -> str:
    """Of one text: a code, the script `latin` where no frequent word tells, or "" without letters.

    Wrong now and then; good enough to see that many texts change together.
    """
    if not text.isascii():
        shares = script_shares([text])
        if not shares:
            return ""
        if next(iter(shares)) != "latin" or shares.get("han", 0) > _HAN_SHARE:
            return main_language([text])[0]
    elif not any(map(str.isalpha, text)):
        return ""
    found = Counter(_WORD.findall(text[:2000].lower()))
    scores = dict.fromkeys(_WORDS, 0)
    for word, count in found.items():
        for name in _SPOKEN.get(word, ()):
            scores[name] += count
    best = max(scores, key=lambda name: (scores[name], name == "en"))
    return best if scores[best] else "latin"


def _latin_language(texts: list[str]) -> str:
    words = Counter(word for text in texts for word in _WORD.findall(text[:2000].lower()))
    scores = {
        language: sum(words[word] for word in frequent) for language, frequent in _WORDS.items()
    }
    best = max(scores, key=lambda language: (scores[language], language == "en"))
    return best if scores[best] else "en"
