"""A peer of bench/serving.py: Ray Serve with @serve.batch."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray
from _texts import Classifier
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=512, ray_actor_options={"num_cpus": 1})
class Texts:
    """One replica; batches wait 5 ms at most."""

    def __init__(self) -> None:
        self.model = Classifier()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def answers(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.model(texts)

    async def __call__(self, request: Request) -> Any:
        return await self.answers((await request.json())["text"])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Texts.bind(), route_prefix="/predict")  # type: ignore[attr-defined]
    signal.pause()
