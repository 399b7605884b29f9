"""Delimited text is read whatever its delimiter, quoting, line ends and damage."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.data.sources import BrokenRow, RawRow
from modelwright.errors import UserError

SIMPLE = "text,label\nwhere is my card,card\nI lost it,lost\n"


@pytest.fixture
def write(tmp_path: Path):
    def write_it(content: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_it


def values(rows: list[RawRow]) -> list[tuple]:
    return [tuple(row.values.values()) for row in rows]


def test_rows_carry_their_values_file_and_line(read, write):
    good, broken = read("csv", write(SIMPLE))
    assert broken == []
    assert good[0] == RawRow({"text": "where is my card", "label": "card"}, 0, "rows.csv", 2)
    assert good[1].line == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read, open_as, write, delimiter):
    path = write(SIMPLE.replace(",", delimiter))
    assert open_as("csv", path).columns() == ["text", "label"]
    assert values(read("csv", path)[0])[1] == ("I lost it", "lost")


def test_commas_in_unquoted_text_do_not_win_over_the_tab(read, write):
    path = write("text\tlabel\nyes, of course\ta\nno\tb\nwell, well, well\ta\n")
    assert values(read("csv", path)[0])[2] == ("well, well, well", "a")


def test_decimal_commas_do_not_win_over_the_semicolon(open_as, write):
    path = write("x;y\n1,5;2,3\n2,5;3,3\n")
    assert open_as("csv", path).columns() == ["x", "y"]


def test_one_column_of_sentences_with_commas_stays_one_column(read, open_as, write):
    path = write("text\nyes, of course\nno\nwell, well, well\n")
    assert open_as("csv", path).columns() == ["text"]
    assert values(read("csv", path)[0])[2] == ("well, well, well",)


def test_excels_separator_hint_is_followed_and_is_no_row(read, open_as, write):
    path = write("sep=;\ntext;label\na;b\n")
    assert open_as("csv", path).columns() == ["text", "label"]
    assert values(read("csv", path)[0]) == [("a", "b")]


def test_quoted_cells_hold_delimiters_quotes_and_line_ends(read, write):
    path = write('text,label\n"a, ""b""\nc",x\nd,y\n')
    good, broken = read("csv", path)
    assert values(good) == [('a, "b"\nc', "x"), ("d", "y")]
    assert [row.line for row in good] == [2, 4]
    assert broken == []


def test_backslash_escaped_quotes_are_understood(read, write):
    rows = "".join(f'"he said \\"no\\", {n}",x\n' for n in range(5))
    good, broken = read("csv", write("text,label\n" + rows))
    assert values(good)[0] == ('he said "no", 0', "x")
    assert broken == []


def test_a_space_before_a_quote_is_no_text(read, write):
    good, _ = read("csv", write('text, label\n"a, b", "x"\n"c, d", "y"\n'))
    assert values(good) == [("a, b", "x"), ("c, d", "y")]


def test_quotes_that_are_characters_are_kept_when_asked(read, write):
    good, _ = read("csv", write('text,label\n"a,x\nb",y\n'), quoting="none")
    assert values(good) == [('"a', "x"), ('b"', "y")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end_is_understood_also_a_missing_last_one(read, write, end, last):
    text = SIMPLE.replace("\n", end)
    good, broken = read("csv", write(text if last else text.removesuffix(end)))
    assert values(good) == [("where is my card", "card"), ("I lost it", "lost")]
    assert [row.line for row in good] == [2, 3]
    assert broken == []


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.csv.gz", gzip.compress), ("a.csv.bz2", bz2.compress), ("a.csv.xz", lzma.compress)],
)
def test_compressed_files_read_alike(read, write, name, pack):
    assert len(read("csv", write(pack(SIMPLE.encode()), name))[0]) == 2


def test_a_gz_that_is_not_compressed_is_read_too(read, write):
    assert len(read("csv", write(SIMPLE, "a.csv.gz"))[0]) == 2


def test_a_zip_is_a_folder_of_files(read, open_as, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.csv", SIMPLE)
        archive.writestr("a.csv", SIMPLE)
        archive.writestr("notes.md", "no rows")
        archive.writestr("__MACOSX/._a.csv", "junk")
    good, _ = read("csv", tmp_path / "a.zip")
    assert [row.file for row in good] == ["a.zip/a.csv"] * 2 + ["a.zip/b.csv"] * 2
    assert len(read("csv", tmp_path / "a.zip/b.csv")[0]) == 2
    with pytest.raises(UserError, match=r"did you mean `b\.csv`"):
        open_as("csv", tmp_path / "a.zip/c.csv").columns()


def test_a_truncated_archive_stops_the_run_since_its_rows_cannot_be_counted(read, write):
    packed = gzip.compress(b"text,label\n" + b"".join(b"%d,x\n" % n for n in range(20000)))
    with pytest.raises(UserError, match=r"MW-201.*damaged or cut short"):
        read("csv", write(packed[: len(packed) // 2], "a.csv.gz"))


def test_a_folder_and_a_glob_read_every_file_and_numbers_run_on(read, write, tmp_path):
    write(SIMPLE, "b.csv")
    write(SIMPLE, "a.csv")
    write("hidden", ".c.csv")
    write("# notes", "README.md")
    for location in (tmp_path, tmp_path / "*.csv"):
        good, broken = read("csv", location)
        assert [(row.number, row.file) for row in good] == [
            (0, "a.csv"),
            (1, "a.csv"),
            (2, "b.csv"),
            (3, "b.csv"),
        ]
        assert broken == []


def test_files_with_other_columns_keep_their_own(read, open_as, write, tmp_path):
    write("text,label\na,b\n", "a.csv")
    write("label,text\nb,a\n", "b.csv")
    good, _ = read("csv", tmp_path)
    assert good[0].values == good[1].values == {"text": "a", "label": "b"}
    assert open_as("csv", tmp_path).columns() == ["text", "label"]


def test_too_few_or_too_many_cells_break_the_row_and_tell_both_counts(read, write):
    good, broken = read("csv", write("text,label\na,b\nonly\nc,d\ne,f,g\n"))
    assert values(good) == [("a", "b"), ("c", "d")]
    assert [(row.reason, row.line) for row in broken] == [
        ("wrong-column-count", 3),
        ("wrong-column-count", 5),
    ]
    assert broken[0].detail.startswith("1 cells, 2 columns")
    assert broken[1].detail.startswith("3 cells, 2 columns")


def test_empty_cells_too_many_are_cut_off_as_a_repair(read, write):
    good, broken = read("csv", write("text,label\na,b,,\nc,d\n"))
    assert values(good) == [("a", "b"), ("c", "d")]
    assert good[0].repairs == ("extra-empty-cells",)
    assert good[1].repairs == ()
    assert broken == []


def test_blank_lines_are_no_rows_but_count_as_lines(read, write):
    good, broken = read("csv", write("text,label\n\na,b\n  \n\nc,d\n\n"))
    assert [(row.number, row.line) for row in good] == [(0, 3), (1, 6)]
    assert broken == []


def test_a_stray_quote_costs_one_line_and_not_the_rest_of_the_file(read, write):
    lines = ["text,label\n", *(f"row {n},x\n" for n in range(5000))]
    lines[100] = '"row 99,x\n'
    good, broken = read("csv", write("".join(lines)))
    assert [(row.reason, row.line) for row in broken] == [("unbalanced-quotes", 101)]
    assert len(good) == 4999
    assert good[-1].values == {"text": "row 4999", "label": "x"}


def test_a_stray_quote_that_meets_another_one_later_costs_one_line(read, write):
    lines = ["text,label\n", *(f"row {n},x\n" for n in range(3000))]
    lines[100] = '"row 99,x\n'
    lines[2500] = '"row, 2499",x\n'
    good, broken = read("csv", write("".join(lines)))
    assert [row.line for row in broken] == [101]
    assert len(good) == 2999


def test_many_stray_quotes_stay_linear(read, write):
    lines = [
        "text,label\n",
        *(f'"row {n},x\n' if n % 50 == 7 else f"r{n},x\n" for n in range(20000)),
    ]
    start = time.perf_counter()
    good, broken = read("csv", write("".join(lines)), quoting="standard")
    assert len(good) + len(broken) == 20000
    assert len(broken) == 400
    assert time.perf_counter() - start < 20


def test_a_long_text_in_quotes_is_one_row(read, write):
    text = "\n".join(f"line {n}" for n in range(900))
    good, broken = read("csv", write(f'text,label\n"{text}",x\nnext,y\n'))
    assert values(good) == [(text, "x"), ("next", "y")]
    assert good[1].line == 902
    assert broken == []


def test_quotes_inside_a_line_that_break_the_rules_are_a_repair(read, write):
    good, broken = read("csv", write('text,label\n"so" he said,x\n"good, one",y\n'))
    assert good[0].values["text"] == "so he said"
    assert good[0].repairs == ("stray-quote",)
    assert broken == []


def test_a_field_of_many_megabytes_is_read(read, write):
    good, broken = read("csv", write("text,label\n" + "x" * 5_000_000 + ",big\na,b\n"))
    assert len(good[0].values["text"]) == 5_000_000
    assert good[1].values == {"text": "a", "label": "b"}
    assert broken == []


def test_a_line_without_end_is_given_up_and_the_next_ones_read(read, write):
    good, broken = read("csv", write("text,label\na,b\n" + "x" * 40_000_000 + ",big\nc,d\n"))
    assert values(good) == [("a", "b"), ("c", "d")]
    assert [(row.reason, row.line) for row in broken] == [("line-too-long", 3)]
    assert good[1].line == 4


def test_nul_bytes_are_taken_out_as_a_repair(read, write):
    good, broken = read("csv", write("text,label\na\0b,x\nc,y\n"))
    assert values(good) == [("ab", "x"), ("c", "y")]
    assert good[0].repairs == ("nul-bytes",)
    assert good[1].repairs == ()
    assert broken == []


def test_undecodable_bytes_set_their_own_row_aside(read, write):
    lines = [f"Größe {n},x\n".encode() for n in range(50)]
    lines[20] = b"Gr\xff\xfe,x\n"
    good, broken = read("csv", write(b"text,label\n" + b"".join(lines)))
    assert [(row.reason, row.number, row.line) for row in broken] == [("undecodable", 20, 22)]
    assert len(good) == 49
    assert "\ufffd" in broken[0].detail


def test_undecodable_bytes_after_the_sample_set_their_own_row_aside(read, write):
    rows = b"".join(b"some longer row of text %d,x\n" % n for n in range(150_000))
    cut = rows.index(b"\n", len(rows) * 3 // 10) + 1
    good, broken = read(
        "csv", write(b"text,label\n\xe4\xbd\xa0,x\n" + rows[:cut] + b"\xff,x\n" + rows[cut:])
    )
    assert len(good) == 150_001
    assert [row.reason for row in broken] == ["undecodable"]


def test_duplicate_and_missing_header_names_are_made_unique(open_as, write):
    path = write("text,text,,text_2,label\na,b,c,d,x\n")
    assert open_as("csv", path).columns() == ["text", "text_3", "column_3", "text_2", "label"]


def test_a_header_that_leaves_out_the_row_names_is_completed(read, open_as, write):
    path = write("text,label\n1,a,x\n2,b,y\n3,c,x\n")
    assert open_as("csv", path).columns() == ["column_1", "text", "label"]
    assert len(read("csv", path)[0]) == 3


@pytest.mark.parametrize(
    "text",
    [
        "I love it,1\nbad food,0\nso so,0\n",
        "I love it,pos\nbad food,neg\nso so,neg\nfine,pos\n",
        "The card did not arrive. What now?,card arrival problem of mine\nok,b\n",
        "0.5,1.2\n0.1,0.4\n",
    ],
)
def test_a_file_without_a_header_gets_numbered_columns(read, open_as, write, text):
    path = write(text)
    assert open_as("csv", path).columns() == ["column_1", "column_2"]
    assert len(read("csv", path)[0]) == text.count("\n")
    assert read("csv", path)[0][0].line == 1


@pytest.mark.parametrize(
    "text",
    [
        "text,label\n1,1\n",
        "utterance,intent\nhello,greet\nbye,leave\n",
        "内容,标签\n很好,正面\n",
        "foo,bar\nsome longer text,a\nanother one,b\n",
    ],
)
def test_a_header_is_recognised(open_as, write, text):
    assert open_as("csv", write(text)).columns() == text.split("\n")[0].split(",")


def test_header_and_names_can_be_pinned(read, open_as, write):
    path = write(SIMPLE)
    assert len(read("csv", path, header=False)[0]) == 3
    assert open_as("csv", path, columns=["a", "b"]).columns() == ["a", "b"]
    good, _ = read("csv", path, header=False, columns=["a", "b"])
    assert good[0].values == {"a": "text", "b": "label"}


def test_a_header_alone_gives_columns_and_no_rows(read, open_as, write):
    assert open_as("csv", write("text,label\n")).columns() == ["text", "label"]
    assert read("csv", write("text,label")) == ([], [])


@pytest.mark.parametrize("content", [b"", b"\n\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error_that_says_so(open_as, write, content):
    with pytest.raises(UserError, match=r"MW-203 rows\.csv: the file is empty"):
        open_as("csv", write(content)).columns()


def test_a_broken_first_line_hides_neither_header_nor_rows(read, open_as, write):
    path = write('"odd,line\ntext,label\na,x\nb,y\nc,x\n')
    assert open_as("csv", path).columns() == ["text", "label"]
    good, broken = read("csv", path)
    assert values(good) == [("a", "x"), ("b", "y"), ("c", "x")]
    assert [row.line for row in broken] == [1]


def test_an_empty_file_among_others_is_passed_over(read, write, tmp_path):
    write("", "a.csv")
    write(SIMPLE, "b.csv")
    assert len(read("csv", tmp_path)[0]) == 2


def test_reading_takes_constant_memory(open_as, write):
    rows = 100_000
    path = write(
        "text,label\n" + "".join(f"some text number {n},label_{n % 77}\n" for n in range(rows))
    )
    tracemalloc.start()
    assert sum(1 for _ in open_as("csv", path).rows()) == rows
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6


CELL = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8)
HARD = st.text(st.sampled_from("ab\"',;\t\n\r 你é\u2028\x85"), max_size=8)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(HARD | CELL, HARD | CELL), min_size=1, max_size=12))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["text", "label"])
    writer.writerows([text + "t", label] for text, label in rows)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    plug = plugs.load("source", "csv")
    source = plug.cls(
        str(path), plug.config(delimiter=",", header=True, quoting="standard", encoding="utf-8")
    )
    found = list(source.rows())
    assert [row.values for row in found if isinstance(row, RawRow)] == [
        {"text": text + "t", "label": label} for text, label in rows
    ]


LINE = st.lists(
    st.sampled_from(["a", "b", ",", ",", '"', '""', "\xe9".encode("latin-1"), "你", "\0", " "]),
    min_size=1,
    max_size=10,
).map(lambda parts: b"".join(p if isinstance(p, bytes) else p.encode() for p in parts))


@settings(max_examples=400, deadline=None)
@given(lines=st.lists(LINE, min_size=1, max_size=25), end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_every_physical_line_belongs_to_a_row_or_a_broken_row(tmp_path_factory, lines, end):
    content = b"text,label" + end + end.join(lines)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(content)
    plug = plugs.load("source", "csv")
    source = plug.cls(str(path), plug.config(header=True, delimiter=",", encoding="utf-8"))
    found = list(source.rows())
    assert [row.number for row in found] == list(range(len(found)))
    starts = [row.line for row in found]
    assert starts == sorted(set(starts))
    accounted = set()
    for row, after in zip(found, [*starts[1:], len(lines) + 2], strict=False):
        span = 1
        if isinstance(row, RawRow) or row.reason != "unbalanced-quotes":
            cells = "".join(row.values.values()) if isinstance(row, RawRow) else ""
            inner = cells.count("\n") + cells.count("\r") - cells.count("\r\n")
            span = inner + 1 if isinstance(row, RawRow) else after - row.line
        accounted |= set(range(row.line, row.line + span))
    filled = {at for at, line in enumerate(lines, 2) if line.strip(b" \t")}
    assert filled <= accounted
    assert all(isinstance(row, RawRow | BrokenRow) for row in found)


def test_real_files_are_read_whole(read, data):
    for name, rows in [("banking77/train.csv", 10003), ("waimai_10k/train.csv.gz", 9584)]:
        good, broken = read("csv", data / name)
        assert len(good) == rows
        assert broken == []
        assert list(good[0].values) == ["text", "label"]
