"""A peer of bench/serving.py: an MLServer runtime; its adaptive batching is set in its settings."""

from __future__ import annotations

import asyncio
import json

from _texts import Classifier
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Texts(MLModel):  # type: ignore[misc]
    """Answers a BYTES tensor of texts by a tensor of JSON objects."""

    async def load(self) -> bool:
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        answers = await asyncio.to_thread(self.classifier, texts)
        output = StringCodec.encode_output("answers", [json.dumps(one) for one in answers])
        return InferenceResponse(model_name=self.name, outputs=[output])
