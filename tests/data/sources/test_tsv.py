"""Tab-separated text keeps quotes that are characters."""

from __future__ import annotations


def test_cells_are_separated_by_tabs_only(read, tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\na, b; c\tx\n")
    good, broken = read("tsv", tmp_path / "a.tsv")
    assert good[0].values == {"text": "a, b; c", "label": "x"}
    assert broken == []


def test_a_lone_quote_is_a_character(read, tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"a b\tx\n5" pipe\ty\nc\tx\nd\ty\n')
    good, broken = read("tsv", tmp_path / "a.tsv")
    assert [row.values["text"] for row in good] == ['"a b', '5" pipe', "c", "d"]
    assert broken == []


def test_quotes_around_whole_cells_are_quoting(read, tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n')
    good, _ = read("tsv", tmp_path / "a.tsv")
    assert [row.values["text"] for row in good] == ["a\tb", 'c "d"']


def test_a_utf16_export_of_a_spreadsheet_is_read(read, tmp_path):
    (tmp_path / "a.tsv").write_bytes("文本\t标签\r\n很好\t正面\r\n".encode("utf-16"))
    good, _ = read("tsv", tmp_path / "a.tsv")
    assert good[0].values == {"文本": "很好", "标签": "正面"}


def test_a_real_file_without_declared_types_is_read(read, data):
    good, broken = read("tsv", data / "cranfield" / "qrels.tsv")
    assert len(good) == 1612
    assert broken == []
    assert list(good[0].values) == ["query-id", "corpus-id", "score"]
