"""Where a request's time goes, by stage, in the metrics."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from modelwright.serve import create_app
from modelwright.serve._stages import STAGES
from modelwright.testing.doubles import FakeBundle


def counted(text: str, name: str) -> dict[str, float]:
    """The series of the stages by stage."""
    found = {}
    for line in text.splitlines():
        if line.startswith(f"modelwright_stage_seconds_{name}{{"):
            labels, _, value = line.rpartition(" ")
            found[labels.partition('stage="')[2].partition('"')[0]] = float(value)
    return found


def test_every_answered_request_passes_each_stage_once():
    with TestClient(create_app([FakeBundle(seconds=0.02)])) as opened:
        for _ in range(3):
            opened.post("/v1/predict", json={"inputs": ["a", "b"]})
        text = opened.get("/metrics").text
    assert counted(text, "count") == dict.fromkeys(STAGES, 3.0)
    spent = counted(text, "sum")
    assert spent["inference"] >= 3 * 0.02
    assert max(spent, key=lambda name: spent[name]) == "inference"


def test_a_refused_request_counts_in_the_stages_that_it_passed():
    with TestClient(create_app([FakeBundle(fails=lambda text: "poison" in text)])) as opened:
        before = counted(opened.get("/metrics").text, "count")
        opened.post("/v1/predict", content=b"{", headers={"content-type": "application/json"})
        assert counted(opened.get("/metrics").text, "count") == before, "of no model"
        opened.post("/v1/predict", json={"inputs": [3]})
        opened.post("/v1/predict", json={"inputs": ["poison"]})
        found = counted(opened.get("/metrics").text, "count")
    expected = {"parse": 2, "tokenise": 1, "queue": 1, "inference": 1, "encode": 0}
    assert found == expected


def test_who_waits_until_the_deadline_has_waited_in_the_queue():
    reached, released = threading.Event(), threading.Event()

    def hold(text: str) -> bool:
        reached.set()
        released.wait()
        return False

    released.set()
    app: Any = create_app([FakeBundle(fails=hold)])

    async def late() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            reached.clear()
            released.clear()
            held = asyncio.create_task(http.post("/v1/predict", json={"inputs": ["a"]}))
            await asyncio.to_thread(reached.wait)
            headers = {"x-deadline-ms": "80"}
            queued = await http.post("/v1/predict", json={"inputs": ["b"]}, headers=headers)
            assert queued.status_code == 504
            released.set()
            await held
            return (await http.get("/metrics")).text

    text = asyncio.run(late())
    assert counted(text, "count")["queue"] == 2
    assert counted(text, "count")["inference"] == 1
    assert counted(text, "sum")["queue"] == pytest.approx(0.08, abs=0.05)
