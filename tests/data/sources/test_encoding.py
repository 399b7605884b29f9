"""The encoding of a text file is told from its bytes, also from very few of them."""

from __future__ import annotations

import gzip

import pytest

from modelwright.data.sources._encoding import detect
from modelwright.errors import UserError

CHINESE = "text,label\n送餐很快,好评\n态度差,差评\n"
ENGLISH = "text,label\nwhere is my card,a\n"


@pytest.mark.parametrize("text", ["plain ASCII\n", "naïve café\n", CHINESE, "текст\n", "שלום\n"])
def test_utf8_is_utf8(text):
    assert detect([text.encode()]) == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides(encoding):
    assert CHINESE.encode(encoding).decode(detect([CHINESE.encode(encoding)])) == CHINESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [CHINESE, ENGLISH, "不一,上\n不不,下\n"])
def test_utf16_without_a_mark_is_recognised(encoding, text):
    assert detect([text.encode(encoding)]) == encoding


@pytest.mark.parametrize("text", ["plain \0 text\nwith\0 zeros\n", "很好\0,好评\n不\0错,好评\n"])
def test_stray_zero_bytes_are_no_utf16(text):
    assert detect([text.encode()]) == "utf-8"
    assert detect([text.encode("gb18030")]) in ("utf-8", "gb18030")


@pytest.mark.parametrize(
    "text",
    [
        CHINESE,
        "好评\n",
        "联通,公司\n",
        "什么,a\n",
        "text,label\nok,\nvery good,好\n",
        "镕基,人名\n",
    ],
)
def test_a_few_chinese_words_in_gb18030_are_enough(text):
    assert detect([text.encode("gb18030")]) == "gb18030"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("今天天氣很好,正面\n服務態度很差,負面\n", "big5"),
        ("とても美味しいです,良い\n", "cp932"),
        ("カタカナ,テスト\n", "cp932"),
        ("이것은 한국어 문장입니다\n", "cp949"),
        ("naïve café, señor\n", "cp1252"),
        ("Größe,Maß\n", "cp1252"),
        ("“smart” it’s – ok\n", "cp1252"),
        ("Это русский текст, и его кодировка должна быть распознана правильно.\n", "cp1251"),
    ],
)
def test_other_legacy_encodings_are_recognised(text, encoding):
    assert detect([text.encode(encoding)]) == encoding


def test_bytes_that_windows_does_not_define_are_latin1():
    assert detect([b"caf\xe9 \x81 x\n"]) == "latin-1"


def test_utf8_with_a_few_damaged_bytes_stays_utf8():
    damaged = (CHINESE * 5).encode() + b"\xff\xfe broken\n" + CHINESE.encode()
    assert detect([damaged]) == "utf-8"


def test_a_legacy_word_after_much_ascii_is_found(read, tmp_path):
    content = (
        "text,label\n" + "plain words,a\n" * 200_000 + "很好,b\n" + "plain words,a\n" * 100_000
    )
    (tmp_path / "a.csv").write_bytes(content.encode("gb18030"))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content.encode("gb18030"), 1))
    for name in ("a.csv", "b.csv.gz"):
        good, broken = read("csv", tmp_path / name)
        assert broken == []
        assert good[200_000].values == {"text": "很好", "label": "b"}


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "big5", "utf-8-sig"])
def test_a_whole_file_reads_alike_in_every_encoding(read, tmp_path, encoding):
    text = "文本,標籤\n" + "".join(f"今天天氣很好 {n},正面\n" for n in range(20_000))
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    good, broken = read("csv", tmp_path / "a.csv")
    assert broken == []
    assert good[-1].values == {"文本": "今天天氣很好 19999", "標籤": "正面"}


def test_the_option_overrides_what_would_be_detected(read, tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\né,a\n".encode("cp1250"))
    good, _ = read("csv", tmp_path / "a.csv", encoding="cp1250")
    assert good[0].values["text"] == "é"


def test_an_unknown_encoding_names_the_nearest(open_as, tmp_path):
    (tmp_path / "a.csv").write_text(ENGLISH)
    with pytest.raises(UserError, match=r"MW-206[\s\S]*did you mean `gb18030`"):
        open_as("csv", tmp_path / "a.csv", encoding="gb18031").columns()


def test_real_chinese_rows_are_recognised_one_by_one(data):
    with gzip.open(data / "waimai_10k" / "test.csv.gz", "rt", encoding="utf-8") as file:
        lines = [line for line in file if not line.isascii()]
    missed = [line for line in lines if detect([line.encode("gb18030")]) != "gb18030"]
    assert len(missed) <= 2, missed
