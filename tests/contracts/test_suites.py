"""What holds for every suite, whoever wrote it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from modelwright import plugs
from modelwright.evaluate.suites import Suite

NAMES = plugs.names("suite")
_QUICK = {"speed": {"seconds": 0.05, "batches": [1, 3]}}


def _worlds() -> Any:
    path = Path(__file__).parents[1] / "evaluate" / "conftest.py"
    spec = importlib.util.spec_from_file_location("evaluate_worlds", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


worlds = _worlds()
intents, topics, lengths = worlds.intents, worlds.topics, worlds.lengths
names, pictures, world = worlds.names, worlds.pictures, worlds.world


@pytest.fixture(params=NAMES)
def plug(request: pytest.FixtureRequest) -> plugs.Plug:
    return plugs.load("suite", request.param)


def _suite(plug: plugs.Plug) -> Any:
    return plug.cls(plug.config.model_validate(_QUICK.get(plug.name, {})))


def test_it_is_one_final_class_of_the_interface_with_a_version(plug: plugs.Plug) -> None:
    assert issubclass(plug.cls, Suite)
    assert getattr(plug.cls, "__final__", False)
    assert plug.version >= 1


def test_its_first_line_says_what_it_does(plug: plugs.Plug) -> None:
    assert 10 < len(plugs.summary("suite", plug.name)) <= 100


def test_its_config_is_frozen_strict_and_explained(plug: plugs.Plug) -> None:
    assert issubclass(plug.config, BaseModel)
    config = plug.config()
    for name, info in plug.config.model_fields.items():
        assert info.description, name
        with pytest.raises(ValidationError):
            setattr(config, name, None)
    with pytest.raises(ValidationError):
        plug.config.model_validate({"no_such_option": 1})


def test_it_measures_every_kind_of_task_as_plain_json(plug: plugs.Plug, world: Any) -> None:
    found = _suite(plug).measure(world.context())
    assert isinstance(found, dict)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_it_leaves_what_it_is_given_as_it_was(plug: plugs.Plug, intents: Any) -> None:
    context = intents.context()
    before = json.dumps([context.rows, context.features], default=str)
    _suite(plug).measure(context)
    assert json.dumps([context.rows, context.features], default=str) == before


def test_it_copes_with_a_single_row(plug: plugs.Plug, intents: Any) -> None:
    table = intents.dataset.rows("test")[:1]
    for row in table:
        for book in ("_row", "_file", "_line"):
            row.pop(book)
    one = worlds.write_dataset(
        intents.dataset.folder.parent / "one", "text-classification",
        {"train": intents.dataset.rows("train")[:30], "test": table},
        labels=worlds.LABELS, language="en",
    )  # fmt: skip
    small = worlds.World(one, intents.model)
    json.dumps(_suite(plug).measure(small.context()), allow_nan=False)
