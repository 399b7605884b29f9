"""Plain text: a document a line."""

from __future__ import annotations

import gzip

import pytest

from modelwright.errors import UserError


def test_each_line_that_is_not_blank_is_a_row(read, tmp_path):
    (tmp_path / "a.txt").write_bytes(b" one \r\n\r\n  \ntwo\rthree")
    good, broken = read("text", tmp_path / "a.txt")
    assert [(row.values["text"], row.line) for row in good] == [
        (" one ", 1),
        ("two", 4),
        ("three", 5),
    ]
    assert broken == []


def test_the_column_can_be_named_and_files_compressed(read, open_as, tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("你好\n".encode("gb18030")))
    assert open_as("text", tmp_path / "a.txt.gz", column="document").columns() == ["document"]
    assert read("text", tmp_path, column="document")[0][0].values == {"document": "你好"}


def test_damaged_lines_are_set_aside_or_repaired(read, tmp_path):
    (tmp_path / "a.txt").write_bytes("你好，世界\n今天很好\n".encode() + b"a\xffb\nc\0d\n")
    good, broken = read("text", tmp_path / "a.txt")
    assert [row.values["text"] for row in good] == ["你好，世界", "今天很好", "cd"]
    assert good[2].repairs == ("nul-bytes",)
    assert [(row.reason, row.line) for row in broken] == [("undecodable", 3)]


def test_separators_that_are_no_line_ends_stay_in_the_text(read, tmp_path):
    (tmp_path / "a.txt").write_text("a\u2028b\x0bc\x85d\n", encoding="utf-8")
    assert len(read("text", tmp_path / "a.txt")[0]) == 1


def test_an_empty_file_is_an_error(read, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n")
    with pytest.raises(UserError, match="MW-203"):
        read("text", tmp_path / "a.txt")


def test_a_real_corpus_is_read_whole(read, data):
    good, broken = read("text", data / "lm_corpus" / "csl_zh.txt.gz")
    assert len(good) == 1341
    assert broken == []
