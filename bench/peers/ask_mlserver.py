"""MLServer's types and codecs, and its command `mlserver infer`, unchanged, at the service."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from _checks import EXPECTED, KEY, MODEL, PORT, TEXTS, check, tell
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse

HEADERS = {"Authorization": f"Bearer {KEY}"}
http = httpx.Client(headers=HEADERS)
URL = f"http://127.0.0.1:{PORT}/v2/models/{MODEL}"
LABELS = [one["label"] for one in EXPECTED]


@check
def its_codecs_and_types() -> None:
    asked = InferenceRequest(inputs=[StringCodec.encode_input("text", TEXTS)])
    answer = http.post(
        f"{URL}/infer",
        content=asked.model_dump_json(exclude_none=True),
        headers={"content-type": "application/json"},
    )
    response = InferenceResponse.model_validate_json(answer.content)
    [found] = [one for one in response.outputs if one.name == "label"]
    assert StringCodec.decode_output(found) == LABELS


@check
def metadata() -> None:
    told = MetadataModelResponse.model_validate_json(http.get(URL).content)
    assert told.name == MODEL


@check
def its_command_infer() -> None:
    with tempfile.TemporaryDirectory() as name:
        given, out = Path(name) / "in.jsonl", Path(name) / "out.jsonl"
        lines = []
        for text in TEXTS:
            asked = InferenceRequest(inputs=[StringCodec.encode_input("text", [text])])
            lines.append(asked.model_dump_json(exclude_none=True))
        given.write_text("\n".join(lines) + "\n")
        command = [
            str(Path(sys.executable).with_name("mlserver")), "infer", "-u", f"127.0.0.1:{PORT}",
            "-m", MODEL, "-i", str(given), "-o", str(out), "-H", f"Authorization: Bearer {KEY}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-300:]
        found = {}
        for line in out.read_text().splitlines():
            told = json.loads(line)
            [label] = [one for one in told["outputs"] if one["name"] == "label"]
            found[told["parameters"]["batch_index"]] = label["data"][0]
        assert [found[place] for place in sorted(found)] == LABELS


tell("mlserver")
