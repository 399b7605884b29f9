"""The training settings that a recipe leaves open, from effort, data and base; each with its why.

The rules were chosen on development data (docs/lab.md) and are functions of size, not of a set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from modelwright.recipe.derive import Derived
from modelwright.recipe.schema import Effort, Finetune

EFFORT_EPOCHS: dict[Effort, float] = {"quick": 0.4, "standard": 1.0, "thorough": 1.75}
REFERENCE_WIDTH = 384
FEW_CLASSES = 5


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        effort: the recipe's dial.
        modality: text or image.
        rows: training rows.
        classes: labels (0 for regression).
        width: the backbone's vectors.
        scratch: random weights to begin with.
        long_tokens: 99.5th percentile of the training rows' tokens, special ones included.
        method_rate: the method's rate at the reference width.
        method_epochs: the method's factor on epochs.
        token_head: tagging.
    """

    effort: Effort
    modality: Literal["text", "image"]
    rows: int
    classes: int
    width: int
    scratch: bool
    long_tokens: int
    method_rate: float
    method_epochs: float
    token_head: bool


@dataclass(frozen=True)
class Settings:
    """A complete set of training settings; every field is decided."""

    epochs: float
    learning_rate: float
    batch_rows: int
    batch_tokens: int
    warmup: float
    weight_decay: float
    label_smoothing: float
    class_weights: Literal["none", "balanced"]
    early_stopping: int
    ema: float
    precision: Literal["fp32", "bf16"]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def derive(
    recipe: Finetune, facts: Facts, precision: Literal["fp32", "bf16"], seed: int
) -> tuple[Settings, list[Derived]]:
    """Fill what is open.

    Returns:
        The settings, and one record for each value that the recipe did not pin.
    """
    found: list[Derived] = []

    def choose(name: str, pinned: Any, value: Any, why: str) -> Any:
        if pinned is not None:
            return pinned
        found.append(Derived(f"finetune.{name}", value, why))
        return value

    rows = f"{facts.rows:,} rows"
    settings = Settings(
        epochs=choose(
            "epochs", recipe.epochs, default_epochs(facts), f"effort {facts.effort}, {rows}"
        ),
        learning_rate=choose(
            "learning_rate", recipe.learning_rate, default_rate(facts), _rate_reason(facts)
        ),
        batch_rows=choose("batch_rows", recipe.batch_rows, default_rows(facts), rows),
        batch_tokens=choose(
            "batch_tokens", recipe.batch_tokens, default_tokens(facts), "memory of one step"
        ),
        warmup=choose("warmup", recipe.warmup, 0.1, "a tenth of the steps"),
        weight_decay=recipe.weight_decay,
        label_smoothing=choose(
            "label_smoothing",
            recipe.label_smoothing,
            default_smoothing(facts),
            _smooth_reason(facts),
        ),
        class_weights=recipe.class_weights,
        early_stopping=choose(
            "early_stopping",
            recipe.early_stopping,
            default_patience(facts),
            "evaluations, one an epoch",
        ),
        ema=choose("ema", recipe.ema, 0.1, "steadier than any single step's weights"),
        precision=precision,
        seed=seed,
    )
    if recipe.precision == "auto":
        found.append(Derived("finetune.precision", precision, "the faster on this processor"))
    return settings, found


def default_epochs(facts: Facts) -> float:
    """Fewer passes over more rows, falling with the 0.3rd power: 8 over 10,000 for many classes,
    5 for tags or few classes, 14 from scratch, 18 for images from scratch."""
    reference = 18 if facts.modality == "image" and facts.scratch else 14 if facts.scratch else 8
    epochs = reference * (10_000 / max(facts.rows, 1)) ** 0.3
    epochs *= EFFORT_EPOCHS[facts.effort] * facts.method_epochs
    if not facts.scratch and (facts.token_head or _few_classes(facts)):
        epochs *= 0.6  # each step tells more: a tag a word, or half the rows of a class
    return float(max(2, min(60, round(epochs))))


def default_rate(facts: Facts) -> float:
    """The method's rate, lower for wider backbones, and a third of it for few classes: what tells
    two of them apart is fine, and large steps wash it out of the backbone (docs/lab.md)."""
    if facts.scratch:
        return 3e-3 if facts.modality == "image" else 5e-4
    rate = rate_of(facts.method_rate, facts.width)
    if _few_classes(facts):
        rate /= 3
    return float(f"{rate:.2g}")


def rate_of(method_rate: float, width: int) -> float:
    """A method's rate for a backbone of this width."""
    return method_rate * (REFERENCE_WIDTH / width) ** 2.5


def _rate_reason(facts: Facts) -> str:
    if facts.scratch:
        return f"from scratch, {facts.modality}"
    few = f", {facts.classes} classes" if _few_classes(facts) else ""
    return f"backbone of width {facts.width}{few}"


def _few_classes(facts: Facts) -> bool:
    return 0 < facts.classes <= FEW_CLASSES and not facts.token_head


def default_rows(facts: Facts) -> int:
    """Rows a step."""
    if facts.modality == "image":
        return 64
    return 16 if facts.rows < 2_000 else 32 if facts.rows < 200_000 else 64


def default_tokens(facts: Facts) -> int:
    """Most tokens a step."""
    return max(4096, 2 * facts.long_tokens)


def default_patience(facts: Facts) -> int:
    """Half of the epochs, 4 or more: as the rate falls, the last third often gains the most."""
    return max(4, round(default_epochs(facts) / 2))


def default_smoothing(facts: Facts) -> float:
    """0.1 where one of several classes is chosen: labels err, and confidence stays usable."""
    return 0.1 if facts.classes >= 2 and not facts.token_head else 0.0


def _smooth_reason(facts: Facts) -> str:
    return f"{facts.classes} classes"
