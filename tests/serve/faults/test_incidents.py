"""The classes of security incidents of other services, each with a test that it cannot happen here.

docs/serving.md has the list, and names the tests elsewhere that hold its other lines.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import pickle
import shlex
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from modelwright import plugs
from modelwright.artifacts.bundle import read_bundle
from modelwright.errors import UserError
from modelwright.serve.stage import curl
from modelwright.testing.doubles import FakeBundle, fake_image

Serve = Callable[..., TestClient]
Running = Callable[..., Any]
SOURCE = Path(__file__).parents[3] / "src" / "modelwright"
JSON = {"content-type": "application/json"}


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def trees() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(file, what is called, the call) of all our source."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node


# -- pickle, in requests, between processes, in files ---------------------------------------------
@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.bentoml+pickle",
        "application/x-pickle",
        "application/python-pickle",
        "application/octet-stream",
        "application/json",
        "multipart/form-data; boundary=x",
        "",
    ],
)
def test_a_pickle_in_a_request_is_never_opened(serve: Serve, tmp_path: Path, kind: str):
    opened = serve()
    body = pickle.dumps(Trap(tmp_path / "opened"))
    headers = {"content-type": kind, "payload-container": "PickleContainer"}
    for route in opened.app.routes:
        if "POST" in route.methods:
            path = route.path.replace("{name}", "fake").replace("{version}", "1")
            assert 400 <= opened.post(path, content=body, headers=headers).status_code < 500
    pickled = base64.b64encode(body).decode()
    opened.post("/v1/predict", json={"inputs": [pickled, body.decode("latin-1")]})
    assert not (tmp_path / "opened").exists()


def test_our_source_reads_nothing_that_can_run():
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "zmq"}
    found = []
    for name, tree in trees():
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{name} imports {one}" for one in names if one.split(".")[0] in banned]
    for name, called, call in calls():
        given = {one.arg: ast.unparse(one.value) for one in call.keywords}
        if called in ("torch.load", "eval", "exec", "yaml.load", "os.system", "os.popen"):
            found.append(f"{name} calls {called}")
        if given.get("allow_pickle", "False") != "False":
            found.append(f"{name} opens arrays that may hold pickles")
        if given.get("trust_remote_code", "False") != "False":
            found.append(f"{name} trusts remote code")
        if given.get("shell", "False") != "False":
            found.append(f"{name} starts a shell")
    assert found == []


def test_the_process_listens_where_it_was_told_and_nowhere_else(running: Running):
    service = running()
    inodes = set()
    for link in Path(f"/proc/{service.process.pid}/fd").iterdir():
        try:
            inodes.add(str(link.readlink()))
        except OSError:
            continue
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{service.process.pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                listening.add(int(columns[1].rpartition(":")[2], 16))
    assert listening == {service.address[1]}
    unix = Path(f"/proc/{service.process.pid}/net/unix").read_text().splitlines()[1:]
    named = [
        line for line in unix if len(line.split()) > 7 and f"socket:[{line.split()[6]}]" in inodes
    ]
    assert named == []


@pytest.mark.slow
def test_code_and_pickles_beside_a_model_are_never_run(tiny_bundle: Path, tmp_path: Path):
    import shutil

    from modelwright.engines import Bundle

    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    trap = tmp_path / "opened"
    program = f"open({str(trap)!r}, 'w')"
    for place in (folder, *(folder / "variants").iterdir(), folder / "tokenizer"):
        for name in ("model.py", "handler.py", "__init__.py", "modeling_own.py", "conftest.py"):
            (place / name).write_text(program)
        for name in ("model.pkl", "pytorch_model.bin", "model.pt", "python_model.pkl"):
            (place / name).write_bytes(pickle.dumps(Trap(trap)))
    for entry in json.loads((folder / "bundle.json").read_text())["variants"]:
        bundle = Bundle.open(folder, entry["name"])
        assert bundle.predict(["where is my refund"])[0]["label"]
        bundle.close()
    assert not trap.exists()


@pytest.mark.parametrize(
    "name", ["pickle", "os", "builtins", "_runtime", "..", "subprocess", "a.b"]
)
def test_a_manifest_names_no_code(name: str):
    for kind in ("engine", "task"):
        assert not plugs.exists(kind, name)
        with pytest.raises(UserError):
            plugs.load(kind, name)


# -- words of callers and of bundles --------------------------------------------------------------
TEMPLATES = (
    "{{ 7*7 }}", "{% for x in range(10**9) %}{% endfor %}", "${7*7}", "<%= 7*7 %>", "#{7*7}",
    "{0.__class__.__mro__}", "{self.__init__.__globals__}", "%(a)s", "$(id)", "`id`", "\x1b[31m",
)  # fmt: skip


def test_what_looks_like_a_template_is_a_text_like_any_other(serve: Serve):
    opened = serve()
    response = opened.post("/v1/predict", json={"inputs": list(TEMPLATES)})
    assert response.json()["predictions"] == [
        {"label": one["label"], "score": one["score"]} for one in FakeBundle().predict(TEMPLATES)
    ]
    for text in TEMPLATES:
        told = opened.post("/v1/predict", json={"inputs": ["a"], "model": text}).json()
        assert told["detail"] == f"model: there is no model {text!r}"
        told = opened.post("/v1/predict", json={"inputs": ["a"], "parameters": {text: 1}}).json()
        assert told["field"] == f"parameters.{text}"


def test_a_bundles_words_are_no_template_and_end_no_script(serve: Serve):
    labels = [f"{text}</script><script>alert({n})</script>" for n, text in enumerate(TEMPLATES)]
    opened = serve(FakeBundle(labels))
    html = opened.get("/").text
    assert html.count("</script>") == serve().get("/").text.count("</script>")
    assert "49" not in [one["id"] for one in opened.get("/v1/models").json()["data"]]
    assert opened.get("/v1/models").json()["data"][0]["labels"] == labels


@pytest.mark.parametrize("text", ["'; rm -rf ~; '", "$(id)", "`id`", "a\nid", '"; id', "\\'; id"])
def test_the_command_that_is_shown_runs_nothing_of_a_bundles_words(serve: Serve, text: str):
    opened = serve()
    model = next(iter(opened.app.service.models.values()))
    model.examples = [{"input": text, "output": {}}]
    words = shlex.split(curl("http://127.0.0.1:8000", model))
    assert words[0] == "curl"
    assert json.loads(words[-1]) == {"inputs": [text]}
    assert len(words) == 7


# -- paths ----------------------------------------------------------------------------------------
PATHS = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "..%252f..%252fetc%252fpasswd", "..\\..\\etc",
    "/etc/passwd", "file:///etc/passwd", "%00", "....//....//etc/passwd", "C:\\windows\\win.ini",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_a_caller_reaches_the_disk(
    serve: Serve, path: str, monkeypatch: pytest.MonkeyPatch
):
    opened = serve()

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was opened")

    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", never)
        patch.setattr("io.open", never)
        for response in (
            opened.get(f"/{path}"),
            opened.get(f"/v2/models/{path}"),
            opened.post(f"/v2/models/{path}/infer", json=body),
            opened.post(f"/v2/models/fake/versions/{path}/infer", json=body),
            opened.post("/v1/predict", json={"inputs": ["a"], "model": path}),
        ):
            assert response.status_code == 404, response.text
            assert "root:" not in response.text
        asked = {"inputs": [path], "parameters": {}}
        answer = opened.post("/v1/predict", json=asked, headers={"x-request-id": path})
        assert answer.status_code == 200


def test_links_out_of_a_bundle_are_refused_and_links_inside_are_not(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("key")
    folder = tmp_path / "bundle"
    FakeBundle().save(folder)
    (folder / "inside").symlink_to("golden.jsonl")
    assert read_bundle(folder)["name"] == "fake"
    (tmp_path / "linked").symlink_to(folder)
    assert read_bundle(tmp_path / "linked")["name"] == "fake"
    (folder / "variants").mkdir()
    for link, target in ((folder / "variants" / "model.onnx", secret), (folder / "x", tmp_path)):
        link.symlink_to(target)
        with pytest.raises(UserError, match="MW-601") as caught:
            read_bundle(folder)
        assert link.name in caught.value.problem.seen
        link.unlink()


def test_nothing_is_unpacked_into_folders():
    """Archives of training data are read member by member; nothing else reads any, and the wheels
    that go beside an image are only written."""
    unpackers = ("extractall", "unpack_archive", "TarFile")
    found = []
    for name, called, _ in calls():
        last = called.rpartition(".")[2]
        if last in unpackers or called == "tarfile.open":
            found.append(f"{name} calls {called}")
        if last == "ZipFile" and not name.startswith(("data/", "deploy/wheels.py")):
            found.append(f"{name} opens archives")
    assert found == []


# -- addresses ------------------------------------------------------------------------------------
def test_no_address_of_a_caller_is_fetched(serve: Serve):
    bundle = FakeBundle(task="image-classification", name="pictures")
    opened = serve(bundle, FakeBundle())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        addresses = (
            f"http://{host}/a.png", f"https://{host}", f"//{host}/a", f"ftp://{host}/a",
            f"http:\\\\{host}\\a", f"http://a@{host}/", f"gopher://{host}", "file:///etc/passwd",
            f"data:text/plain,http://{host}",
        )  # fmt: skip
        for address in addresses:
            for given in (address, {"image": address}, {"image": {"url": address}}):
                response = opened.post("/v1/predict", json={"inputs": [given]})
                assert response.status_code == 422, (given, response.text)
            texts = {"inputs": [address], "model": "fake"}
            assert opened.post("/v1/predict", json=texts).status_code == 200
        with pytest.raises(BlockingIOError):
            listener.accept()


# -- bombs ----------------------------------------------------------------------------------------
def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000)[:10_000])
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + rows + chunk(b"IEND", b"")


def frames(count: int) -> bytes:
    from PIL import Image

    pictures = [Image.new("L", (64, 64), shade % 256) for shade in range(count)]
    file = io.BytesIO()
    pictures[0].save(file, "gif", save_all=True, append_images=pictures[1:])
    return file.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "more pixels than are allowed": lambda: png(60_000, 60_000),
    "pixels that overflow": lambda: png(2**31 - 1, 2**31 - 1),
    "no pixels": lambda: png(0, 0),
    "a text that unpacks to a gigabyte": lambda: png(
        8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 60_000_000))] * 20
    ),
    "a profile that unpacks to much": lambda: png(
        8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(b"a" * 60_000_000))
    ),
    "a postscript program": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "an svg that names a file": lambda: b'<svg xmlns="http://www.w3.org/2000/svg">&x;</svg>',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_image_that_is_a_bomb_is_refused_without_a_word_of_the_decoders(serve: Serve, bomb: str):
    opened = serve(FakeBundle(task="image-classification"))
    data = BOMBS[bomb]()
    assert len(data) < 2_000_000
    for response in (
        opened.post("/v1/predict", json={"inputs": [base64.b64encode(data).decode()]}),
        opened.post("/v1/predict", files={"file": ("a.png", data)}),
    ):
        assert response.status_code == 422, response.text
        told = response.json()
        assert told["field"] == "inputs[0]"
        for word in ("0x", "PIL", "object at", "BytesIO", "Decompressed"):
            assert word not in response.text
    assert opened.post("/v1/predict", json={"inputs": [fake_image()]}).status_code == 200


def test_of_many_frames_one_is_read_and_one_pixel_is_an_image(serve: Serve):
    from PIL import Image

    opened = serve(FakeBundle(task="image-classification"))
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "png")
    for data in (frames(2000), file.getvalue()):
        given = base64.b64encode(data).decode()
        assert opened.post("/v1/predict", json={"inputs": [given]}).status_code == 200


# -- the wire -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   x",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 40_000 + b"\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    ],
)
def test_a_request_that_two_servers_would_read_differently_is_refused(wire: Any, head: bytes):
    start = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    answers = wire(start + head)
    assert b"HTTP/1.1 2" not in answers, "none of it is answered as a request that was understood"
    assert b" 200 " in wire(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


@pytest.fixture
def wire(running: Running) -> Callable[[bytes], bytes]:
    service = running()

    def talk(data: bytes) -> bytes:
        found = b""
        with socket.create_connection(service.address, timeout=20) as raw:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            try:
                while piece := raw.recv(65536):
                    found += piece
            except ConnectionResetError:
                pass
        return found

    return talk


def test_ranges_and_long_lists_in_headers_are_not_worked_on(serve: Serve):
    opened = serve()
    many = ",".join(f"{n}-{n + 1}" for n in range(3000))
    plain = opened.get("/")
    for headers in (
        {"range": f"bytes={many}"},
        {"accept": ",".join(["text/html;q=0.1"] * 800)},
        {"accept-encoding": ",".join(["br"] * 3000)},
        {"if-none-match": ",".join(['"a"'] * 3000)},
    ):
        response = opened.get("/", headers=headers)
        assert (response.status_code, response.text) == (200, plain.text)


# -- numbers that make work -----------------------------------------------------------------------
def leaves(schema: Any, name: str, defined: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "$ref" in schema:
        schema = defined[schema["$ref"].rpartition("/")[2]]
    for place, part in enumerate([*schema.get("anyOf", []), *schema.get("oneOf", [])]):
        yield from leaves(part, f"{name}|{place}", defined)
    for key, part in schema.get("properties", {}).items():
        yield from leaves(part, f"{name}.{key}", defined)
    if "items" in schema:
        yield from leaves(schema["items"], f"{name}[]", defined)
    yield name, schema


@pytest.mark.parametrize("task", ["text-classification", "text-regression", "image-classification"])
def test_every_number_list_and_text_of_a_request_has_a_bound(serve: Serve, task: str):
    """Images alone are bounded by the body and by their pixels."""
    document = serve(FakeBundle(task=task)).get("/openapi.json").json()
    defined = document["components"]["schemas"]
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            given = [
                (f"{one['in']} {one['name']}", one["schema"])
                for one in operation.get("parameters", [])
            ]
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                given.append(("body", content["application/json"]["schema"]))
            for name, schema in given:
                for place, leaf in leaves(schema, name, defined):
                    bound = {
                        "integer": "maximum",
                        "number": "maximum",
                        "array": "maxItems",
                        "string": "maxLength",
                    }
                    kind = leaf.get("type")
                    told = "enum" in leaf or "const" in leaf or "contentMediaType" in leaf
                    if kind in bound and bound[kind] not in leaf and not told:
                        found.append(f"{method} {path} {place}: {kind} without {bound[kind]}")
    assert found == []


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 4000, "1e400", "NaN", "9" * 5000])
def test_a_number_beyond_all_bounds_is_refused_wherever_it_stands(serve: Serve, number: str):
    opened = serve(FakeBundle(task="text-regression"))
    asked = opened.post("/v1/predict", json={"inputs": ["a"]}).json()
    for path, body in (
        ("/v1/feedback", f'{{"request_id": "{asked["request_id"]}", "label": {number}}}'),
        ("/v1/feedback", f'{{"request_id": "a", "label": 1, "index": {number}}}'),
        ("/v1/predict", f'{{"inputs": ["a"], "parameters": {{"top_k": {number}}}}}'),
        ("/v1/predict", f'{{"inputs": [{number}]}}'),
        ("/v2/models/fake/infer", f'{{"inputs": [{{"shape": [{number}], "name": "a"}}]}}'),
    ):  # fmt: skip
        assert opened.post(path, content=body, headers=JSON).status_code in (400, 422), path


def test_a_thousand_callers_leave_no_trace(serve: Serve):
    opened = serve()
    model = opened.app.service.models["fake"]
    for number in range(300):
        opened.post("/v1/predict", json={"inputs": [f"text {number}"], "model": "fake"})
    assert len(model._queue._lanes) <= 1
    assert model.admission.items == model.admission.tokens == model.admission.bytes == 0


# -- control, and checks that stay ----------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/fake/load",
        "/v2/repository/models/fake/unload",
        "/models?url=http://127.0.0.1/a.mar",
        "/admin/models",
        "/admin/models/fake",
        "/api/jobs/",
        "/invocations",
        "/pause",
        "/shutdown",
        "/debug/pprof",
        "/docs",
    ],
)
def test_nothing_can_be_loaded_or_stopped_at_the_open_port(serve: Serve, path: str):
    opened = serve()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        assert opened.request(method, path).status_code == 404
    assert opened.get("/health/ready").status_code == 200


def test_no_check_is_gone_when_python_leaves_out_asserts(running: Running):
    service = running(flags=["-O"])
    with httpx.Client(base_url=service.url, timeout=20) as http:
        for content, status in (
            (b"{", 400),
            (b'{"inputs": []}', 422),
            (b'{"inputs": [3]}', 422),
            (json.dumps({"inputs": ["a"] * 1025}).encode(), 413),
            (json.dumps({"inputs": ["a" * 200_001]}).encode(), 422),
            (b"[" * 100_000, 400),
            (b" " * 10_000_001, 413),
            (b'{"inputs": ["a"]}', 200),
        ):
            assert http.post("/v1/predict", content=content, headers=JSON).status_code == status
