"""The tiny run's checkpoint as a teacher with its rows, and tokenizers of three kinds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from modelwright.artifacts.dataset import Dataset
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.runtime.files import read_json

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.compress.points import Workshop

TEXTS = [
    "my card is lost, where is my refund?",
    "I want my money back please!",
    "the new card has not arrived yet",
    "银行卡丢了怎么办 我想退款",
    "Où est mon café? Ça va, señor Müller",
    "transfer 250 euros to my sister's account 🙂",
    "why was my transfer declined when transferring abroad",
] * 3


def word_pieces() -> Any:
    """MiniLM's own WordPiece tokenizer."""
    from modelwright.models.bases import resolve

    folder = resolve("minilm-l6", "text", Path()).folder
    assert folder is not None
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def byte_pairs() -> Any:
    """A byte-level BPE tokenizer as RoBERTa's."""
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigrams() -> Any:
    """The tokenizer that is learnt from scratch."""
    from modelwright.models.preparing import learn_tokenizer

    return learn_tokenizer(TEXTS, 300)


TOKENIZERS = {"WordPiece": word_pieces, "BPE": byte_pairs, "Unigram": unigrams}


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Any]:
    """A tokenizer of every kind."""
    found = {name: make() for name, make in TOKENIZERS.items()}
    for tokenizer in found.values():
        tokenizer.no_padding()
        tokenizer.no_truncation()
    return found


@pytest.fixture(scope="session")
def tiny_dataset(dataset: Path) -> Dataset:
    return Dataset.open(dataset)


@pytest.fixture(scope="session")
def tiny_training(checkpoint: Path) -> dict[str, Any]:
    return read_json(checkpoint / "training.json")


@pytest.fixture
def teacher(checkpoint: Path) -> TrainedModel:
    return open_checkpoint(checkpoint)


@pytest.fixture
def material(
    teacher: TrainedModel, tiny_dataset: Dataset, tiny_training: dict[str, Any], tmp_path: Path
) -> Material:
    from modelwright.compress.passes import Material
    from modelwright.compress.session import Rows
    from modelwright.train.stage import settings_like

    rows = Rows(tiny_dataset, "train")
    return Material(
        teacher=teacher,
        rows=rows,
        folder=tmp_path,
        seed=0,
        settings=settings_like(tiny_training, teacher, len(rows), 0),
        tuning=tiny_dataset.rows("validation"),
    )


LABELS = ("card", "refund", "transfer")
SENTENCES = [
    {"text": f"{start} {label} {end}", "label": label}
    for label in LABELS
    for start in ("where is my", "i lost the", "please help with a")
    for end in ("now", "please", "again and again", "")
]


@pytest.fixture(scope="session")
def learnt() -> TrainedModel:
    """A BERT of two layers that has learnt three classes by heart; copy it before changing it."""
    import torch

    from modelwright import plugs
    from modelwright.models.bases import resolve
    from modelwright.models.preparing import Shape, prepare
    from modelwright.tasks import LossSettings, TaskSpec

    torch.manual_seed(0)
    task = plugs.load("task", "text-classification").cls(TaskSpec(labels=LABELS))
    base, shape = resolve("scratch:tiny", "text", Path()), Shape(max_tokens=32, vocabulary=150)
    model = prepare(base, task, shape, [row["text"] for row in SENTENCES])
    features = task.encode([row["text"] for row in SENTENCES], model.encoder)
    inputs = {key: torch.from_numpy(array) for key, array in model.collate(features).items()}
    targets = torch.tensor([LABELS.index(row["label"]) for row in SENTENCES])
    optimizer = torch.optim.AdamW(model.network.train().parameters(), lr=1e-3)
    for _ in range(25):
        task.loss(model.network(**inputs), targets, LossSettings()).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.network.eval()
    return model


@pytest.fixture(scope="session")
def sentences() -> list[dict[str, Any]]:
    """The rows that `learnt` has learnt."""
    return SENTENCES


@pytest.fixture
def workshop(learnt: TrainedModel, tmp_path: Path) -> Workshop:
    """A search that begins: `learnt` as the teacher, its rows for everything, no pass allowed."""
    from modelwright.compress.passes import Material
    from modelwright.compress.points import Workshop
    from modelwright.compress.session import CompressRequest, Session
    from modelwright.engines._latency import calls
    from modelwright.recipe.schema import Compress
    from modelwright.train.stage import settings_like

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    rows: Any = None  # `learnt` has no data set
    request = CompressRequest(
        Compress(), learnt, {}, rows, "quick", 0, [], tmp_path / "out", scratch
    )
    settings = settings_like({}, learnt, len(SENTENCES), 0)
    material = Material(learnt, SENTENCES, scratch, 0, settings, tuning=SENTENCES)
    probe = calls(1, [row["text"] for row in SENTENCES], learnt)
    return Workshop(Session(request, material, SENTENCES, SENTENCES, probe), {})
