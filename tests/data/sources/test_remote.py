"""Rows behind URLs: an S3 API on loopback and fsspec's memory; failures are MW-207."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import threading
import zipfile

import pytest

from modelwright.data.sources._opening import open_source
from modelwright.data.sources._remote import redact
from modelwright.errors import UserError

fsspec = pytest.importorskip("fsspec")
CSV = b"text,label\nwhere is my card,card\nI lost it,lost\n"


@pytest.fixture
def put(s3):
    import boto3

    client = boto3.client("s3")

    def put_it(key: str, body: bytes) -> str:
        client.put_object(Bucket="rows", Key=key, Body=body)
        return f"s3://rows/{key}"

    return put_it


def rows(location: str, format: str = "auto") -> list:
    return list(open_source(location, format).rows())


def test_an_object_reads_like_a_file(put):
    found = rows(put("one/train.csv", CSV))
    assert [row.values["label"] for row in found] == ["card", "lost"]
    assert found[0].file == "train.csv"
    assert len(rows(put("one/train.csv.gz", gzip.compress(CSV)))) == 2


def test_a_prefix_reads_like_a_folder_and_a_pattern_like_a_glob(put):
    put("many/a.csv", CSV)
    put("many/sub/b.csv", CSV)
    put("many/.hidden.csv", CSV)
    put("many/README.md", b"no rows")
    assert [row.file for row in rows("s3://rows/many")] == ["a.csv"] * 2 + ["sub/b.csv"] * 2
    assert [row.number for row in rows("s3://rows/many/")] == [0, 1, 2, 3]
    assert len(rows("s3://rows/many/*.csv")) == 2


def test_parquet_and_zips_are_read_from_s3(put):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), out)
    assert len(rows(put("t/a.parquet", out.getvalue()))) == 2
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.csv", CSV)
    assert len(rows(put("t/a.zip", out.getvalue()), "csv")) == 2


def test_a_large_object_in_an_odd_encoding_is_read(put):
    body = "text,label\n" + "".join(f"很好的服务 {n},好评\n" for n in range(200_000))
    found = rows(put("big/a.csv", body.encode("gb18030")))
    assert len(found) == 200_000
    assert found[-1].values == {"text": "很好的服务 199999", "label": "好评"}


def test_the_fingerprint_follows_the_content(put):
    location = put("print/a.csv", CSV)
    before = open_source(location).fingerprint()
    assert open_source(location).fingerprint() == before
    put("print/a.csv", CSV + b"new,x\n")
    assert open_source(location).fingerprint() != before


def test_a_missing_object_names_the_nearest(put):
    put("near/train.csv", CSV)
    with pytest.raises(UserError, match=r"MW-107[\s\S]*did you mean `train.csv`"):
        open_source("s3://rows/near/trian.csv")


def test_a_missing_bucket_is_told(s3):
    with pytest.raises(UserError, match=r"MW-(107|207)"):
        open_source("s3://no-such-bucket/a.csv")


def test_a_place_that_does_not_answer_is_mw_207(s3, monkeypatch):
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    try:
        with pytest.raises(UserError, match=r"MW-207[\s\S]*AWS_ACCESS_KEY_ID"):
            open_source("s3://rows/a.csv")
    finally:
        pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()


def test_a_read_that_fails_midway_is_mw_207(monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/mid/a.csv", CSV)
    source = open_source("memory://mid/a.csv")

    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionError("reset by https://user:pw123@host/?X-Signature=abc")

    monkeypatch.setattr(type(memory), "open", lambda *_, **__: Failing())
    with pytest.raises(UserError, match="MW-207") as caught:
        list(source.rows())
    assert "pw123" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_any_fsspec_place_works_and_changes_are_seen():
    memory = fsspec.filesystem("memory")
    memory.pipe("/place/a.csv", CSV)
    assert len(rows("memory://place/a.csv")) == 2
    before = open_source("memory://place/a.csv").fingerprint()
    memory.pipe("/place/a.csv", CSV + b"x,y\n")
    assert len(rows("memory://place")) == 3
    assert open_source("memory://place/a.csv").fingerprint() != before


def test_a_file_on_a_web_server_is_read(tmp_path):
    pytest.importorskip("aiohttp")
    (tmp_path / "a.csv").write_bytes(CSV)
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        found = rows(f"{place}/a.csv?token=abc")
        assert [row.file for row in found] == ["a.csv", "a.csv"]
        with pytest.raises(UserError, match=r"MW-(107|207)") as caught:
            open_source(f"{place}/b.csv?token=abc")
        assert "abc" not in str(caught.value)
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_unknown_scheme_is_told():
    with pytest.raises(UserError, match=r"MW-201[\s\S]*did you mean `s3`"):
        open_source("s33://rows/a.csv")


def test_credentials_are_taken_out_of_texts():
    assert redact("https://ann:pw@host/a?sig=abc&x=1") == "https://***@host/a?sig=***&x=***"
