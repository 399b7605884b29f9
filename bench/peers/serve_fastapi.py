"""A peer of bench/serving.py: FastAPI around transformers' pipeline, as tutorials show it.

The folder PLAIN holds the fine-tuned encoder with a classification head as transformers saves it.
Endpoints that are plain functions run in FastAPI's pool of threads.
"""

from __future__ import annotations

import os
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
classifier = pipeline("text-classification", model=os.environ["PLAIN"], device="cpu")


class Request(BaseModel):
    """One text."""

    text: str


@app.get("/ready")
def ready() -> dict[str, bool]:
    """The model is loaded when the application is."""
    return {"ready": True}


@app.post("/predict")
def predict(request: Request) -> Any:
    """The label of one text."""
    return classifier(request.text, truncation=True, max_length=256)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
