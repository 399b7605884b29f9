"""The demo: the main job on sample data, from two CSV files to an answer over HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelwright import samples
from modelwright.errors import InternalError
from modelwright.pipeline.running import run, summary
from modelwright.runtime.files import write_text
from modelwright.runtime.progress import say

QUESTION = "the kettle arrived with a crack in the lid, can you send another one?"
RECIPE = """\
# Intents of a customer-service desk. Change a value and run again: only what depends on it is redone.
name: helpdesk
task: text-classification
effort: {effort}
data:
  splits: {{train: train.csv, test: test.csv}}
  columns: {{text: text, label: intent}}
base: minilm-l6
serve: {{slo: {{p99_ms: 50}}}}
"""


def demo(folder: Path, effort: str) -> tuple[dict[str, Any], str]:
    """Run the demo in `folder`: its result as data, and as text."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(samples.__path__[0]) / "helpdesk"
    for name in ("train.csv", "test.csv", "README.md"):
        shutil.copyfile(source / name, folder / name)
    recipe = folder / "recipe.yaml"
    write_text(recipe, RECIPE.format(effort=effort))
    say(f"recipe: {recipe}")
    done = run(recipe)
    data, text = summary(done)
    with _serving(done.bundle) as url:
        answer = _ask(url)
    data["request"], data["answer"] = QUESTION, answer
    first = answer["predictions"][0]
    lines = [
        text,
        "",
        f"asked    POST {url}/v1/predict  {QUESTION}",
        f"answer   {first['label']} ({first['score']:.2f})",
        "",
        "go on:",
        f"  mw serve {done.bundle}          a page to try it, at http://127.0.0.1:8000/",
        f"  mw report {done.folder} --open       how good, how sure, what to fix next",
        "  mw new YOUR_DATA.csv -o my.yaml && mw run my.yaml",
    ]
    return data, "\n".join(lines)


@contextmanager
def _serving(bundle: Path) -> Iterator[str]:
    """The real service in a process of its own, on a free port; stopped at the end."""
    command = [sys.executable, "-m", "modelwright", "serve", str(bundle), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise InternalError(f"the service ended with exit code {process.wait()}")
        yield str(json.loads(line)["url"]).rstrip("/")
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ask(url: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/v1/predict",
        data=json.dumps({"inputs": [QUESTION]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())
