"""Text to token ids with character offsets, by a `tokenizers` file.

The encoder never shows its pieces to anybody: it gives ids for the model and, for every token, the
characters of the original text that it stands for.

With `casing`, a lower-casing tokenizer keeps what it throws away: each token's type id tells how
its word was written (lower, Capitalised, UPPER, miXed, with digits). Token types are an embedding
that BERT-like models have anyway, so the export and the engines need nothing new.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.encoders.normal import Normal
from modelwright.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

CASING_TYPES = 6
"""Type ids used with casing: 0 and 1 stay segments; 2 to 5 are the shapes below."""
TOKEN_CHARS, SPARE_TOKENS = 16, 128
"""Of a text that is far longer than a model reads, so many characters a token are looked at, if they
hold so many tokens more than it reads: pieces depend on nothing that is farther off."""
GROUP_CHARS = 100_000
"""Encoded at a time: while it is made an encoding takes a hundred times the room of its ids."""
_HALF = re.compile("[\ud800-\udfff]")
_CAPITALISED, _UPPER, _MIXED, _DIGITS = 2, 3, 4, 5


@dataclass(frozen=True)
class TextSettings:
    """How text is encoded; saved as `encoder.json`.

    Attributes:
        max_tokens: longest sequence the model takes, special tokens included.
        pad_id: id that fills short sequences.
        inputs: the model's input names in order.
        casing: whether type ids carry the shape of words.
        stride: tokens by which windows of a long text overlap (token classification).
        normal: steps of `encoders.normal.Normal` for whole texts, as the training rows had them.
    """

    max_tokens: int = 256
    pad_id: int = 0
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    casing: bool = False
    stride: int = 64
    normal: dict[str, bool] | None = None


class TextEncoder:
    """A tokenizer with its limits.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; its padding and truncation are overridden.
        settings: see `TextSettings`.
    """

    kind = "text"

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        self.tokenizer, self.settings = tokenizer, settings
        self._normal = Normal(**settings.normal).text if settings.normal else _same
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def open(cls, folder: Path) -> TextEncoder:
        """Read `tokenizer.json` and `encoder.json`."""
        from tokenizers import Tokenizer

        values = read_json(folder / "encoder.json")
        values["inputs"] = tuple(values["inputs"])
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), TextSettings(**values))

    def save(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.no_truncation()
        self.tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "encoder.json", asdict(self.settings))

    def sequences(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Features of whole texts (or pairs), cut at `max_tokens`, longest text first.

        Returns:
            For each text `input_ids` and `token_type_ids` (lists of int) and `truncated` (bool).
        """
        self._truncate(0)
        batch: list[Any] = _whole(map(self._normal, texts))
        if pairs is not None:
            batch = list(zip(batch, _whole(map(self._normal, pairs)), strict=True))
            return [_feature(one) for group in _groups(batch) for one in self._encoded(group)]
        most, found = TOKEN_CHARS * self.settings.max_tokens, list[dict[str, Any]]()
        for group in _groups([text[:most] for text in batch]):
            for encoding in self._encoded(group):
                whole = batch[len(found)]
                if len(whole) > most and sum(map(len, encoding.overflowing)) < SPARE_TOKENS:
                    encoding = self._encoded([whole])[0]
                found.append(_feature(encoding))
        return found

    def _encoded(self, batch: list[Any]) -> list[Encoding]:
        return self.tokenizer.encode_batch_fast(batch)

    def windows(
        self, texts: Sequence[str], words: Sequence[Sequence[tuple[int, int]]]
    ) -> list[dict[str, Any]]:
        """Features of texts by words, long ones in overlapping windows.

        Args:
            texts: the texts.
            words: character spans of each text's words, in order.

        Returns:
            Windows in order: `example` (index into `texts`), `input_ids`, `token_type_ids`,
            `words` (indices of the words that this window answers for) and `positions` (the token
            that speaks for each of them: the first that covers the word).
        """
        limit, stride = self.settings.max_tokens, self.settings.stride
        self._truncate(min(stride, limit // 4))
        found: list[dict[str, Any]] = []
        groups = map(self.tokenizer.encode_batch, _groups(_whole(texts)))
        for index, encoding in enumerate(itertools.chain.from_iterable(groups)):
            parts = [encoding, *encoding.overflowing]
            shapes = self._shapes(texts[index], words[index]) if self.settings.casing else None
            mapped = [_first_tokens(part, words[index]) for part in parts]
            owners = _owners(mapped, parts)
            for part_index, part in enumerate(parts):
                mine = owners[part_index]
                types = (
                    part.type_ids if shapes is None else _token_shapes(part, words[index], shapes)
                )
                found.append(
                    {
                        "example": index,
                        "input_ids": part.ids,
                        "token_type_ids": types,
                        "words": mine,
                        "positions": [mapped[part_index][word] for word in mine],
                    }
                )
        return found

    def _truncate(self, stride: int) -> None:
        """Only where it is not set: to set it waits for other threads that encode."""
        wanted = (self.settings.max_tokens, stride)
        now = self.tokenizer.truncation or {}
        if (now.get("max_length"), now.get("stride")) != wanted:
            self.tokenizer.enable_truncation(wanted[0], stride=stride)

    def _shapes(self, text: str, words: Sequence[tuple[int, int]]) -> list[int]:
        return [_shape(text[start:end]) for start, end in words]


def _feature(encoding: Encoding) -> dict[str, Any]:
    return {
        "input_ids": encoding.ids,
        "token_type_ids": encoding.type_ids,
        "truncated": bool(encoding.overflowing),
    }


def _groups(batch: list[Any]) -> Iterator[list[Any]]:
    """Texts or pairs, as many together as have `GROUP_CHARS`."""
    start = size = 0
    for place, one in enumerate(batch):
        size += len(one) if isinstance(one, str) else sum(map(len, one))
        if size >= GROUP_CHARS:
            yield batch[start : place + 1]
            start, size = place + 1, 0
    if start < len(batch):
        yield batch[start:]


def _same(text: str) -> str:
    return text


def _whole(texts: Iterable[str]) -> list[str]:
    """Texts that UTF-8 can hold: half a surrogate pair becomes U+FFFD, lengths stay."""
    return [_HALF.sub("\ufffd", text) for text in texts]


def _shape(word: str) -> int:
    if any(letter.isdigit() for letter in word):
        return _DIGITS
    if word == word.lower():
        return 0
    if len(word) > 1 and word == word.upper():
        return _UPPER
    return _CAPITALISED if word[1:] == word[1:].lower() else _MIXED


def _word_of_tokens(encoding: Encoding, words: Sequence[tuple[int, int]]) -> list[int]:
    """For each token the index of the word it lies in, or -1; both lists run left to right."""
    owner, word = [-1] * len(encoding.ids), -1
    for token, ((start, end), special) in enumerate(
        zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ):
        if special or start == end:
            continue
        if word < 0:  # a window may begin far into the text
            word = bisect_right(words, start, key=itemgetter(1))
        while word < len(words) and words[word][1] <= start:
            word += 1
        if word < len(words) and words[word][0] < end:
            owner[token] = word
    return owner


def _first_tokens(encoding: Encoding, words: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Word index -> first token that covers it."""
    first: dict[int, int] = {}
    owners = _word_of_tokens(encoding, words)
    for token, word in enumerate(owners):
        if word < 0:
            continue
        first.setdefault(word, token)
        following, end = word + 1, encoding.offsets[token][1]
        while following < len(words) and words[following][0] < end:
            first.setdefault(following, token)
            following += 1
    return first


def _owners(mapped: list[dict[int, int]], parts: list[Encoding]) -> list[list[int]]:
    """The words of each window: those that stand farthest from an edge in it."""
    best: dict[int, tuple[int, int]] = {}
    for index, (first, part) in enumerate(zip(mapped, parts, strict=True)):
        for word, token in first.items():
            room = min(token, len(part.ids) - token)
            if word not in best or room > best[word][0]:
                best[word] = (room, index)
    owned: list[list[int]] = [[] for _ in parts]
    for word, (_, index) in sorted(best.items()):
        owned[index].append(word)
    return owned


def _token_shapes(
    encoding: Encoding, words: Sequence[tuple[int, int]], shapes: list[int]
) -> list[int]:
    return [shapes[word] if word >= 0 else 0 for word in _word_of_tokens(encoding, words)]
