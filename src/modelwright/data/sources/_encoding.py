"""Which encoding a text file is in, told from a sample of its bytes.

In order: a byte order mark; the zero bytes of UTF-16; pure ASCII (read as UTF-8); valid UTF-8, also
with a few damaged bytes; else the legacy encoding under which the text reads best. "Best" weighs
each non-ASCII character: frequent in the language, in its standard's everyday block, merely valid,
or not valid. Two Chinese words are enough, where general detectors need paragraphs. Only when no
candidate reads well is charset-normalizer asked (Cyrillic, Greek, ...).
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from modelwright.data.sources._files import Input
from modelwright.errors import UserError, did_you_mean

MARK = "\udc80"
"""Stands for a byte that could not be decoded."""

_PIECE = 256 << 10
_SCAN_REMOTE = 16 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_KNOWN = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "gb18030",
    "gbk",
    "big5",
    "shift_jis",
    "cp1252",
    "latin-1",
)
_ENOUGH = 0.35
_LIVING_SCRIPTS = ((0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x5D0, 0x5EA), (0x600, 0x6FF))

_CHINESE = (
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"
    "她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三"
    "已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女"
    "问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由"
    "却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路"
    "期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八"
    "特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思非流每青管夫连远资队跟带花"
    "快条院变联言权往展该领传近留红治决周保达办运武半候七必城父强步完革深区即求品士转量空甚众技轻程"
    "告江语英基派满式李息写呢识极令黄德收脸钱党倒未持取设始版双历越史商千片容研像找友孩站广改议形委"
    "早房音火际则首单据导影失拿网香似斯专石若兵弟谁校读志飞观争究包组造落视济喜离虽坏集编宝谈府拉黑"
    "差评餐味送慢便宜酒店服务员态度推荐垃圾标签类别内容文本，。！？、：；（）《》“”"
)
_TRADITIONAL = (
    "的一是不了在人有我他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可"
    "她裡後小麼心多天而能好都然沒日於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三"
    "已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美點月明其種聲全工己話兒者向情部正名定女"
    "問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關並內加化由"
    "卻代軍產入先山五太水萬市眼體別處總才場師書比住員性通目華報立馬命張活難神數件安表原車白應路期叫"
    "常提感金何更反合放做系計或司利受光王果親界及今京務制解各任至清物台象記邊共風戰接它許特覺望直服"
    "標籤類內容，。！？、：；（）「」"
)
_KOREAN = (
    "이다는을의에가하고은를로지사어도기한서시나자아대그리있인게"
    "해라으들만수일주정부전상보것없었했요니습"
)
_KANA = "".join(map(chr, [*range(0x3041, 0x3097), *range(0x30A1, 0x30F7)])) + "、。ー"
_TYPOGRAPHIC = "‘’“”–—…•€™£§©«»®°±´·¿¡ªº½\xa0"


@dataclass(frozen=True)
class _Candidate:
    name: str
    frequent: frozenset[str]
    everyday: Callable[[bytes], bool]


def _block(low: int, high: int, trail: int = 0) -> Callable[[bytes], bool]:
    return lambda code: len(code) == 2 and low <= code[0] <= high and code[1] >= trail


_CANDIDATES = (
    _Candidate("gb18030", frozenset(_CHINESE), _block(0xB0, 0xD7, 0xA1)),
    _Candidate("big5", frozenset(_TRADITIONAL), _block(0xA4, 0xC6)),
    _Candidate("cp932", frozenset(_KANA), _block(0x82, 0x97)),
    _Candidate("cp949", frozenset(_KOREAN), _block(0xB0, 0xC8, 0xA1)),
)


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK * (error.end - error.start), error.end


codecs.register_error("modelwright-mark", _mark)


def resolve(item: Input, wanted: str | None) -> str:
    """The codec for a file: the one asked for, else the one detected; MW-206 when unknown."""
    if wanted is None or wanted == "auto":
        return detect(sample(item))
    try:
        name = codecs.lookup(wanted).name
        "".encode(name)
    except LookupError as error:
        raise UserError(
            "MW-206",
            f"there is no text encoding named `{wanted}`",
            expected="the name of an encoding, or auto",
            fix=did_you_mean(wanted, _KNOWN),
        ) from error
    return "utf-8-sig" if name == "utf-8" else name


def sample(item: Input) -> list[bytes]:
    """Pieces of a file: its head, and where that is ASCII the first places that are not.

    A file that can be sought gives its middle and end too; one that is ASCII so far is read on
    (to its end on this machine) until other bytes turn up, since these alone tell the encoding.
    """
    with item.open() as file:
        head = _read(file, 2 * _PIECE)
        pieces = [head]
        size = item.size()
        if size is not None and size > 4 * _PIECE and file.seekable() and _is_plain(item):
            for at in (size // 2, size - _PIECE):
                file.seek(at - at % 4)
                pieces.append(_whole_lines(_read(file, _PIECE)))
        if not all(piece.isascii() for piece in pieces) or b"\0" in head:
            return pieces
        file.seek(len(head)) if size is not None else None
        left = None if item.filesystem is None else _SCAN_REMOTE
        while chunk := _read(file, _PIECE):
            if not chunk.isascii():
                return [*pieces, _whole_lines(chunk), _whole_lines(_read(file, _PIECE))]
            if left is not None and (left := left - len(chunk)) <= 0:
                break
    return pieces


def _is_plain(item: Input) -> bool:
    return not item.head(3).startswith((b"\x1f\x8b", b"BZh", b"\xfd7z"))


def _read(file: object, size: int) -> bytes:
    parts, left = [], size
    while left and (part := file.read(left)):  # type: ignore[attr-defined]
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _whole_lines(piece: bytes) -> bytes:
    start, end = piece.find(b"\n"), piece.rfind(b"\n")
    return piece[start + 1 : end] if end > start else piece


def detect(pieces: list[bytes]) -> str:
    """The codec of a text of which these are pieces, the first from its start."""
    head = pieces[0] if pieces else b""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\0" in head and (wide := _wide(head)):
        return wide
    data = b"\n".join(pieces)
    if data.isascii() or (_is_utf8(pieces) and not _is_chinese_by_chance(data)):
        return "utf-8"
    lines = [line for line in data.replace(b"\r", b"\n").split(b"\n") if not line.isascii()]
    return _legacy(b"\n".join(lines)[: 2 * _PIECE])


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: its ASCII and its line ends come with a zero byte on one side.

    Stray zero bytes in UTF-8 or GB18030 are no UTF-16: such text still reads well without them.
    """
    head = head[: len(head) & ~1]
    units = [head[at : at + 2] for at in range(0, len(head), 2)]
    little = units.count(b"\n\0") + units.count(b"\r\0")
    big = units.count(b"\0\n") + units.count(b"\0\r")
    even, odd = head[0::2].count(0), head[1::2].count(0)
    side = "utf-16-le" if (little, odd) > (big, even) else "utf-16-be"
    most, least = max(even, odd), min(even, odd)
    if most >= len(units) * 0.2 and least <= most * 0.1:
        return side
    bare = head.replace(b"\0", b"")
    few = most + least < len(head) * 0.1
    if max(little, big) < 1 or (few and _is_utf8([bare])) or _reads_as(_CANDIDATES[0], bare) >= 0.5:
        return None
    text = head.decode(side, "modelwright-mark")
    return side if text.count(MARK) * 20 <= len(text) else None


def _is_utf8(pieces: list[bytes]) -> bool:
    """Valid, or with two good characters of a living script for each damaged byte."""
    wrong = right = 0
    for piece in pieces:
        text = piece.decode("utf-8", "modelwright-mark")
        cut = len(text) - len(text.rstrip(MARK))
        if len(piece) % _PIECE == 0 and cut <= 3:
            text = text.rstrip(MARK)
        for char, count in Counter(text).items():
            wrong += count if char == MARK else 0
            right += count if char > "\x7f" and char != MARK and _is_living(ord(char)) else 0
    return wrong == 0 or wrong * 2 <= right


def _is_living(char: int) -> bool:
    return char > 0x7FF or any(low <= char <= high for low, high in _LIVING_SCRIPTS)


def _is_chinese_by_chance(data: bytes) -> bool:
    """A word or two of GB18030 may be valid UTF-8 of scripts that nobody mixes so."""
    chars = [ord(char) for char in data.decode("utf-8", "ignore") if char > "\x7f"]
    if not chars or len(chars) > 50 or max(chars) > 0x7FF:
        return False
    if all(map(_is_living, chars)):
        return False
    return _reads_as(_CANDIDATES[0], data) >= 0.6


def _legacy(data: bytes) -> str:
    scores = {item.name: _reads_as(item, data) for item in _CANDIDATES}
    scores["gb18030"] += 0.05
    scores["cp1252"] = _reads_as_latin(data)
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < _ENOUGH and (other := _ask_library(data)):
        return other
    if best == "cp1252" and any(data.count(code) for code in b"\x81\x8d\x8f\x90\x9d"):
        return "latin-1"
    return best


def _reads_as(candidate: _Candidate, data: bytes) -> float:
    """Mean weight of the non-ASCII characters: 1 frequent, 0.6 everyday, 0.1 valid, -1 not."""
    counts = Counter(data.decode(candidate.name, "modelwright-mark"))
    total = weight = 0.0
    for char, count in counts.items():
        if char <= "\x7f":
            continue
        total += count
        weight += count * _weight(candidate, char)
    return weight / total if total else 0.0


def _weight(candidate: _Candidate, char: str) -> float:
    if char == MARK:
        return -1.0
    if char in candidate.frequent:
        return 1.0
    code = char.encode(candidate.name)
    if candidate.everyday(code):
        return 0.6
    return 0.1 if len(code) > 1 else 0.0


def _reads_as_latin(data: bytes) -> float:
    """Accented letters stand alone among ASCII; runs of high bytes are another script."""
    text, total, weight = data.decode("cp1252", "replace"), 0, 0.0
    run = 0
    for at, char in enumerate(text + " "):
        if char > "\x7f" and at < len(text):
            run += 1
            continue
        if run:
            total += run
            weight += sum(_latin_weight(each, run) for each in text[at - run : at])
        run = 0
    return weight / total if total else 0.0


def _latin_weight(char: str, run: int) -> float:
    letter = "\xc0" <= char <= "\xff" and char.isalpha()
    if run == 1:
        return 0.9 if letter or char in _TYPOGRAPHIC or char in "šžœŠŽŒŸ" else 0.2
    if run == 2:
        return 0.5 if (letter and char.islower()) or char in _TYPOGRAPHIC else 0.1
    return 0.0


def _ask_library(data: bytes) -> str | None:
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return None
    found = from_bytes(data).best()
    return None if found is None else str(found.encoding)
