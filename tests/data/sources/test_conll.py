"""Tagged tokens: a row a sentence, whatever separates cells."""

from __future__ import annotations

import gzip

import pytest

from modelwright.errors import UserError

TABS = "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n"


def test_a_row_is_a_sentence_with_the_line_of_its_first_token(read, tmp_path):
    (tmp_path / "a.conll").write_text(TABS)
    good, broken = read("conll", tmp_path / "a.conll")
    assert good[0].values == {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}
    assert [(row.number, row.line) for row in good] == [(0, 1), (1, 4)]
    assert broken == []


@pytest.mark.parametrize("blank", ["\n", "\n\n\n", " \n", "\t\n", "\r\n"])
def test_any_blank_line_ends_a_sentence(read, tmp_path, blank):
    (tmp_path / "a.conll").write_text(TABS.replace("\n\n", "\n" + blank))
    assert len(read("conll", tmp_path / "a.conll")[0]) == 2


def test_document_marks_are_passed_over_and_the_column_chosen(read, tmp_path):
    text = (
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n-DOCSTART- -X- -X- O\n\n"
    )
    (tmp_path / "a.conll").write_text(text)
    good, broken = read("conll", tmp_path / "a.conll")
    assert [row.values["tags"] for row in good] == [["B-ORG", "O"]]
    assert good[0].line == 3
    assert broken == []
    chosen, _ = read("conll", tmp_path / "a.conll", tag_column=1)
    assert chosen[0].values["tags"] == ["NNP", "VBZ"]


def test_a_document_mark_without_a_blank_line_after_it_belongs_to_no_sentence(read, tmp_path):
    (tmp_path / "a.conll").write_text("-DOCSTART-\tO\nEU\tB-ORG\n")
    good, _ = read("conll", tmp_path / "a.conll")
    assert good[0].values["tokens"] == ["EU"]
    assert good[0].line == 2


def test_comments_are_passed_over_but_a_hash_is_a_token(read, tmp_path):
    (tmp_path / "a.conll").write_text("# sent_id = 1\nEU\tB-ORG\n#\tO\n\n# only a comment\n\n")
    good, broken = read("conll", tmp_path / "a.conll")
    assert [row.values["tokens"] for row in good] == [["EU", "#"]]
    assert broken == []


def test_tokens_that_are_wide_spaces_are_kept(read, tmp_path):
    (tmp_path / "a.conll").write_text("中\tO\n\u3000\tO\n\xa0\tO\n国\tO\n", encoding="utf-8")
    good, _ = read("conll", tmp_path / "a.conll")
    assert good[0].values["tokens"] == ["中", "\u3000", "\xa0", "国"]


def test_a_damaged_line_breaks_its_sentence_only(read, tmp_path):
    good_one = "EU\tB-ORG\nrejects\tO\n\n"
    (tmp_path / "a.conll").write_text(good_one * 3 + "EU\tB-ORG\nrejects\n\n" + good_one)
    good, broken = read("conll", tmp_path / "a.conll")
    assert len(good) == 4
    assert [(row.reason, row.number, row.line) for row in broken] == [("wrong-column-count", 3, 11)]


def test_undecodable_bytes_break_their_sentence_only(read, tmp_path):
    chinese = "中\tB-LOC\n国\tI-LOC\n\n".encode()
    (tmp_path / "a.conll").write_bytes(chinese * 3 + b"\xff\xfe\tO\n\n" + chinese)
    good, broken = read("conll", tmp_path / "a.conll")
    assert len(good) == 4
    assert [row.reason for row in broken] == ["undecodable"]


def test_a_tag_without_a_token_is_left_out_as_a_repair(read, tmp_path):
    (tmp_path / "a.conll").write_text("a\tO\n\tO\nb\tO\n")
    good, _ = read("conll", tmp_path / "a.conll")
    assert good[0].values["tokens"] == ["a", "b"]
    assert good[0].repairs == ("empty-token",)


def test_tokens_without_tags_are_read_for_prediction(read, open_as, tmp_path):
    (tmp_path / "a.conll").write_text("EU\nrejects\n\nPeter\n")
    assert open_as("conll", tmp_path / "a.conll").columns() == ["tokens"]
    assert read("conll", tmp_path / "a.conll")[0][0].values == {"tokens": ["EU", "rejects"]}


def test_an_empty_file_is_an_error(read, tmp_path):
    (tmp_path / "a.conll").write_text("\n\n")
    with pytest.raises(UserError, match="MW-203"):
        read("conll", tmp_path / "a.conll")


def test_compressed_gb18030_is_read(read, tmp_path):
    (tmp_path / "a.conll.gz").write_bytes(gzip.compress("中\tB-LOC\n国\tI-LOC\n".encode("gb18030")))
    assert read("conll", tmp_path / "a.conll.gz")[0][0].values["tokens"] == ["中", "国"]


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("conll2003/dev.conll.gz", 3250),
        ("wnut17/test.conll", 1287),
        ("msra_ner/dev.conll.gz", 1000),
    ],
)
def test_real_files_are_read_whole(read, data, name, sentences):
    good, broken = read("conll", data / name)
    assert len(good) == sentences
    assert broken == []
    assert all(len(row.values["tokens"]) == len(row.values["tags"]) for row in good)
