"""A peer of bench/serving.py: LitServe with its batching on.

LitServe reads annotations as they are, so they are not put off (422 to every request otherwise).
"""

import os
from typing import Any

import litserve
from _texts import Classifier


class Texts(litserve.LitAPI):  # type: ignore[misc]
    """Decodes, batches, answers, as LitServe's pages have it."""

    def setup(self, device: str) -> None:
        self.model = Classifier()

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["text"])

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.model(texts)

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


if __name__ == "__main__":
    api = Texts(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
