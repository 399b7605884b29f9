"""A tokenizer with fewer pieces that still reads every text that the whole one reads.

    tokenizer.json ─▶ which pieces stay (`kept_ids`) ─▶ the same file with new ids (`rewritten`)

WordPiece, BPE and Unigram models cut a text into the same pieces as before when all of these stay:
the longest match is still the longest, the merges that led to a kept piece are kept, and the best
path through a lattice is still the best in a smaller one. Text with a piece that is gone is cut
into smaller ones, down to single characters or bytes, which always stay.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODELS = ("WordPiece", "BPE", "Unigram")


def kept_ids(
    tokenizer: Tokenizer, seen: Iterable[int], common: int = 0, below: int = 0
) -> list[int]:
    """Ids that stay: the model's pieces by their old id, then tokens that were only added.

    Args:
        tokenizer: the whole one.
        seen: ids to keep.
        common: further pieces to keep, the first ones of the vocabulary's order.
        below: ids below this one stay, too (some families count positions from the padding's id).
    """
    file = json.loads(tokenizer.to_str())
    pieces = _pieces(file["model"])
    added = {token["id"]: token["content"] for token in file["added_tokens"]}
    numbers = {piece: number for number, piece in pieces.items()}
    kept = set(seen) | set(range(below)) | set(added) | _fallback(file, pieces)
    kept &= set(pieces) | set(added)
    rest = (n for n in sorted(pieces) if n not in kept and not pieces[n].startswith("[unused"))
    kept.update(number for number, _ in zip(rest, range(common), strict=False))
    if file["model"]["type"] == "BPE":
        kept |= _closed(file["model"], {pieces[n] for n in kept if n in pieces}, numbers)
    only_added = sorted(number for number in kept if number not in pieces)
    return sorted(number for number in kept if number in pieces) + only_added


def rewritten(tokenizer: Tokenizer, kept: Sequence[int]) -> Tokenizer:
    """The tokenizer of these pieces, in which `kept[i]` has the id i."""
    from tokenizers import Tokenizer

    file = json.loads(tokenizer.to_str())
    new = {old: number for number, old in enumerate(kept)}
    file["model"] = _model(file["model"], new)
    file["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in file["added_tokens"] if token["id"] in new
    ]
    file["post_processor"] = _processor(file["post_processor"], new)
    if file.get("padding"):
        file["padding"]["pad_id"] = new[file["padding"]["pad_id"]]
    return Tokenizer.from_str(json.dumps(file))


def old_ids(whole: Tokenizer, small: Tokenizer) -> list[int]:
    """For each id of a smaller tokenizer the id that its piece has in the whole one."""
    names = (small.id_to_token(number) for number in range(small.get_vocab_size()))
    return [-1 if name is None else _or_none(whole.token_to_id(name)) for name in names]


def _or_none(number: int | None) -> int:
    return -1 if number is None else number


def model_type(tokenizer: Tokenizer) -> str:
    """WordPiece, BPE, Unigram or WordLevel."""
    return json.loads(tokenizer.to_str())["model"]["type"]


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of the unknown piece, if the model has one."""
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] == "Unigram":
        return model["unk_id"]
    return tokenizer.token_to_id(model["unk_token"]) if model["unk_token"] else None


# -- which pieces stay ------------------------------------------------------------------------------
def _pieces(model: Mapping[str, Any]) -> dict[int, str]:
    """Pieces by id."""
    if model["type"] == "Unigram":
        return {number: piece for number, (piece, _) in enumerate(model["vocab"])}
    return {number: piece for piece, number in model["vocab"].items()}


def _fallback(file: Mapping[str, Any], pieces: Mapping[int, str]) -> set[int]:
    """Ids of the unknown piece, of bytes, of single characters, and of pieces that hold a character
    which has no piece of its own."""
    model = file["model"]
    bare = {number: _bare(piece, model) for number, piece in pieces.items()}
    kept = {n for n, (inner, _) in bare.items() if len(inner) == 1 or _is_byte(pieces[n])}
    single = {bare[number] for number in kept}
    inside = _is_inside(model)
    for number, (piece, continues) in bare.items():
        letters = [(c, (continues or place > 0) and inside) for place, c in enumerate(piece)]
        if any(letter not in single for letter in letters):
            kept.add(number)
    kept -= {number for number in kept if _is_unreachable(file, *bare[number])}
    kept -= {number for number in kept if pieces[number].startswith("[unused")}
    if model["type"] == "Unigram":
        lowest = min(model["vocab"], key=lambda entry: entry[1])  # the unknown's score hangs on it
        kept |= {number for number in (model["unk_id"],) if number is not None}
        kept.add(model["vocab"].index(lowest))
    elif model.get("unk_token") in (vocabulary := model["vocab"]):
        kept.add(vocabulary[model["unk_token"]])
    return kept


def _bare(piece: str, model: Mapping[str, Any]) -> tuple[str, bool]:
    """A piece without its marks, and whether the marks say that it goes on with a word."""
    prefix = model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""
    if prefix and piece.startswith(prefix) and len(piece) > len(prefix):
        return piece[len(prefix) :], True
    if suffix and piece.endswith(suffix) and len(piece) > len(suffix):
        return piece[: -len(suffix)], False
    return piece, False


def _is_inside(model: Mapping[str, Any]) -> bool:
    """Whether a character inside a word has another piece than one that begins it."""
    return bool(model.get("continuing_subword_prefix"))


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")


def _is_unreachable(file: Mapping[str, Any], piece: str, continues: bool) -> bool:
    """Whether BERT's rules for words never let a single character go on with a word: signs, and
    Chinese characters, stand alone there."""
    if not continues or len(piece) != 1:
        return False
    normalizer, words = file.get("normalizer") or {}, file.get("pre_tokenizer") or {}
    if words.get("type") != "BertPreTokenizer":
        return False
    alone = normalizer.get("type") == "BertNormalizer" and normalizer.get("handle_chinese_chars")
    return _is_sign(piece) or bool(alone and _is_chinese(ord(piece)))


def _is_sign(letter: str) -> bool:
    """Punctuation as BERT has it, of the blocks whose categories have long been settled."""
    if letter.isascii():
        return letter.isprintable() and not letter.isalnum() and letter != " "
    return ord(letter) < 0x3100 and unicodedata.category(letter).startswith("P")


def _is_chinese(code: int) -> bool:
    """The blocks that BERT's normaliser puts spaces around (main block and extension A)."""
    return 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF


def _closed(model: Mapping[str, Any], pieces: set[str], numbers: Mapping[str, int]) -> set[int]:
    """Ids of all that the merges pass through on the way to these pieces."""
    ranks = {tuple(pair): rank for rank, pair in enumerate(map(_pair, model["merges"]))}
    found: set[str] = set()
    for piece in pieces:
        found.update(_way(piece, ranks, model))
    return {numbers[piece] for piece in found if piece in numbers}


def _way(
    piece: str, ranks: Mapping[tuple[str, ...], int], model: Mapping[str, Any]
) -> Iterable[str]:
    """Every piece that stands on the way from characters to this one."""
    prefix = model.get("continuing_subword_prefix") or ""
    inner, continues = _bare(piece, model)
    parts = [(prefix if continues or place else "") + letter for place, letter in enumerate(inner)]
    ending = model.get("end_of_word_suffix") or ""
    if ending and piece.endswith(ending) and len(piece) > len(ending):
        parts[-1] += ending
    yield from parts
    while len(parts) > 1:
        pairs = [(ranks.get(pair, len(ranks)), place) for place, pair in _neighbours(parts)]
        rank, place = min(pairs)
        if rank == len(ranks):
            return
        parts[place : place + 2] = [_joined(parts[place], parts[place + 1], prefix)]
        yield parts[place]


def _neighbours(parts: Sequence[str]) -> Iterable[tuple[int, tuple[str, str]]]:
    return enumerate(pairwise(parts))


def _joined(left: str, right: str, prefix: str) -> str:
    return left + (right[len(prefix) :] if prefix and right.startswith(prefix) else right)


def _pair(merge: Any) -> tuple[str, str]:
    """A merge as files of all ages have it: a pair, or one string with a space."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


# -- the file with new ids --------------------------------------------------------------------------
def _model(model: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    if model["type"] == "Unigram":
        vocabulary = model["vocab"]
        entries = [vocabulary[old] for old in new if old < len(vocabulary)]
        unknown = model["unk_id"]
        return {**model, "vocab": entries, "unk_id": None if unknown is None else new[unknown]}
    vocabulary = {piece: new[old] for piece, old in model["vocab"].items() if old in new}
    found = {**model, "vocab": vocabulary}
    if model["type"] == "BPE":
        prefix = model.get("continuing_subword_prefix") or ""
        found["merges"] = [
            [left, right]
            for left, right in map(_pair, model["merges"])
            if left in vocabulary and right in vocabulary
            if _joined(left, right, prefix) in vocabulary
        ]
    return found


def _processor(processor: Any, new: Mapping[int, int]) -> Any:
    """A post-processor with the new ids of its special tokens."""
    if not processor:
        return processor
    found = dict(processor)
    if found["type"] == "Sequence":
        found["processors"] = [_processor(each, new) for each in found["processors"]]
    if found["type"] in ("BertProcessing", "RobertaProcessing"):
        found |= {key: [found[key][0], new[found[key][1]]] for key in ("sep", "cls")}
    if found["type"] == "TemplateProcessing":
        found["special_tokens"] = {
            name: {**token, "ids": [new[number] for number in token["ids"]]}
            for name, token in found["special_tokens"].items()
        }
    return found
