"""The recipe's shape: one frozen, strict model a section; a sentence for each key.

`None` in a field that is documented as derived means "not pinned": `derive.py` fills it from the
effort, the task and the data, and records why.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

Effort = Literal["quick", "standard", "thorough"]
Fraction = Annotated[float, Field(ge=0, le=1)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$"


class Section(BaseModel):
    """Base of every section: unknown keys and silent conversions are errors; values are fixed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=False, allow_inf_nan=False
    )


class Part(Section):
    """A named part with its own options, written as `NAME` or as `{NAME: {option: value}}`."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return {"name": value, "options": {}}
        if isinstance(value, dict) and len(value) == 1 and "name" not in value:
            [(name, options)] = value.items()
            return {"name": name, "options": options or {}}
        return value

    def short(self) -> Any:
        """The form a user would write."""
        return {self.name: self.options} if self.options else self.name


class Splits(Section):
    """Where each split comes from: a file, or a fraction of what no file gives."""

    train: str | None = Field(
        default=None, description="File with the training rows; `data.source` is then not read."
    )
    validation: str | Fraction | None = Field(
        default=None,
        description="File, or share of the training rows held out to choose the best epoch.",
    )
    test: str | Fraction | None = Field(
        default=None, description="File, or share held out for the report; never seen in training."
    )
    groups: str | None = Field(
        default=None,
        description="Column whose equal values stay in one split (a customer, a document).",
    )
    stratify: bool = Field(
        default=True, description="Keep the share of every class equal across splits."
    )


class DataLimits(Section):
    """Limits that stop a run."""

    dropped: Fraction = Field(
        default=0.05, description="Share of rows that may be unusable; duplicates are not counted."
    )


class Data(Section):
    """The rows: where they come from, how they are read, cleaned and split."""

    source: str | None = Field(
        default=None,
        description="File, folder, glob, hf://NAME, s3://BUCKET/KEY, sql://URL?query=SELECT; "
        "not needed when every split names its file.",
    )
    format: str = Field(default="auto", description="How to read it; `mw list sources`.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the format (delimiter, encoding, sheet, ...)."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="The data's column for each role of the task."
    )
    slices: list[str] = Field(
        default_factory=list, description="Further columns by which the report slices results."
    )
    splits: Splits = Field(default_factory=Splits)
    clean: list[Part] | None = Field(
        default=None,
        description="Cleaners in order; derived: those that suit the task. [] for none.",
    )
    augment: list[Part] | None = Field(
        default=None,
        description="Augmenters of training examples; derived for images. [] for none.",
    )
    limits: DataLimits = Field(default_factory=DataLimits)


class Finetune(Section):
    """Training. What is not pinned is derived from effort, task and data."""

    method: Part = Field(default_factory=lambda: Part(name="full"), description="full, head, lora.")
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Derived."
    )
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Derived."
    )
    batch_rows: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Rows a step; derived from the rows. The token budget may hold fewer.",
    )
    batch_tokens: Annotated[int, Field(ge=16)] | None = Field(
        default=None, description="Most tokens a step, padding included; derived."
    )
    max_tokens: Annotated[int, Field(ge=8, le=32768)] | None = Field(
        default=None, description="Longest text in tokens; derived from the data and the base."
    )
    warmup: Fraction | None = Field(
        default=None, description="Share of steps with a rising rate; derived."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="AdamW weight decay."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Dropout of backbone and head; derived: the base's own."
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Derived."
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: rare classes weigh more in the loss."
    )
    early_stopping: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Evaluations without gain before training stops; 0 never; derived.",
    )
    ema: Fraction | None = Field(
        default=None,
        description="Share of the steps over which weights are averaged, for evaluation and for "
        "the result; 0 keeps the last weights; derived.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 where this processor runs it faster."
    )
    pooling: Literal["mean", "cls"] | None = Field(
        default=None, description="How token vectors become one; derived: the base's own."
    )
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        default=None, description="Height and width in pixels; derived from the data and the base."
    )
    report_to: list[Literal["tensorboard", "mlflow"]] = Field(
        default_factory=list, description="Where Trainer reports besides the run folder."
    )


NUMERIC_PASSES = "quantize"
"""In `compress.passes` this stands for every pass that changes how numbers are kept."""


class Budget(Section):
    """What a search may take."""

    minutes: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="Wall minutes of the whole search; derived from the effort."
    )


class CompressLimits(Section):
    """What the compressed model must stay within, measured on this machine."""

    p50_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Median latency of one call of `compress.batch`."
    )
    p95_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="95th percentile of that latency."
    )
    size_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Files of the packaged form with its tokenizer, in 10^6 bytes."
    )
    memory_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Memory that the opened form takes while it answers, in 2^20 bytes.",
    )


class CallShape(Section):
    """One kind of call that latency is measured at."""

    batch: Annotated[int, Field(ge=1, le=4096)] = Field(default=1, description="Rows of the call.")
    length: Annotated[int, Field(ge=3, le=32768)] | None = Field(
        default=None, description="Tokens of each row; derived: the median of the training rows."
    )
    weight: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Share of such calls, relative to the others."
    )


CallShapes = Annotated[list[CallShape], Field(min_length=1)]


class Compress(Section):
    """The search for a smaller, faster model inside limits, and its proof."""

    max_drop: Annotated[float, Field(ge=0, le=100)] = Field(
        default=1.0,
        description="Points of the main metric that may be lost, shown at 95% confidence on rows "
        "that the search never saw.",
    )
    minimize: Literal["latency", "size", "memory", "cost"] = Field(
        default="latency",
        description="What to make small inside the limits; cost is processor time a row.",
    )
    limits: CompressLimits = Field(default_factory=CompressLimits)
    batch: Annotated[int, Field(ge=1, le=4096)] | Literal["data"] | CallShapes = Field(
        default=1,
        description="What latency is measured at: rows of a call of median length, a list of "
        "{batch, length, weight}, or `data`: single rows over the training rows' lengths.",
    )
    passes: list[Part] | None = Field(
        default=None,
        description="vocabulary, heads, ffn, layers, distil, quantize, or single numeric passes "
        "(`mw list passes`); derived: all that the backbone supports.",
    )
    budget: Budget = Field(default_factory=Budget)
    model: str | None = Field(
        default=None,
        description="A bundle, a checkpoint or a plain Hugging Face folder with a classifier to "
        "compress; nothing is fine-tuned then.",
    )
    unlabelled: str | None = Field(
        default=None,
        description="File of further inputs without labels, for teaching the smaller model.",
    )
    proof_rows: bool = Field(
        default=True,
        description="Keep the certification rows in the bundle, so that `mw verify` can repeat the "
        "test elsewhere.",
    )


class Evaluate(Section):
    """What is measured on the test rows."""

    suites: list[Part] | None = Field(default=None, description="Derived: quality and speed.")
    limits: dict[str, float] = Field(
        default_factory=dict,
        description="Lowest value of a metric that the run accepts ({accuracy: 0.9}).",
    )


class Package(Section):
    """The forms of the model that the bundle holds."""

    formats: list[Part] = Field(
        default_factory=lambda: [Part(name="torch"), Part(name="onnx")],
        description="torch, onnx (fp32, and int8 where its quality holds).",
    )
    max_drop: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        description="Points of the main metric that int8 may lose and still be included.",
    )
    golden: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32,
        description="Test rows kept with their answers so that `mw verify` can replay them.",
    )


USUAL_P99_MS = 100.0
"""What is promised where nobody says: people wait that long without noticing."""


class Slo(Section):
    """What the service promises; alerts, dashboards and replica counts follow from it."""

    p99_ms: Annotated[float, Field(gt=0, le=600_000)] | None = Field(
        default=None,
        description="99th percentile of the time to an answer, in milliseconds; derived.",
    )
    availability: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.999, description="Share of requests that are answered without a fault of ours."
    )
    window_days: Annotated[int, Field(ge=7, le=90)] = Field(
        default=30,
        description="Days over which both promises are kept; alerts speak of its budget.",
    )


class Record(Section):
    """What the service may keep of requests, for monitoring."""

    share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share of the requests that are recorded."
    )
    inputs: bool = Field(
        default=False,
        description="Record what callers sent, too; without it only the answers are kept.",
    )


class Serve(Section):
    """The service; `mw serve` reads it from the bundle."""

    slo: Slo = Field(default_factory=Slo)
    deadline_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="In how many milliseconds requests are answered that give no X-Deadline-Ms.",
    )
    record: Record | None = Field(
        default=None, description="Allows `mw serve --traffic DIR` to record; nothing without it."
    )


class Monitor(Section):
    """What `mw monitor` looks at; it reads this from the bundle."""

    rows: Annotated[int, Field(ge=100, le=100_000)] = Field(
        default=1_000, description="The last recorded rows that a check looks at."
    )
    every_s: Annotated[float, Field(ge=1)] = Field(
        default=3_600, description="Seconds between two checks; more checks need stronger evidence."
    )
    false_alarms_per_day: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01,
        description="Share of days on which something may alarm although nothing moved.",
    )
    tolerance: Annotated[float, Field(ge=0)] = Field(
        default=2.0,
        description="Points below the test's interval at which quality is still in order.",
    )
    signals: list[str] | None = Field(
        default=None, description="Derived: all that suit the task (`mw list signals`)."
    )


class Trial(Section):
    """How long a renewed model is tried in service before it replaces the old one."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Share of the requests that the canary answers."
    )
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=200, description="Requests that it must have answered to be promoted."
    )
    seconds: Annotated[float, Field(gt=0, le=604_800)] = Field(
        default=3600, description="After so many seconds with fewer requests it is taken back."
    )


class Renew(Section):
    """When a renewed model may replace the old one; `mw renew` reads it from the recipe."""

    max_drop: Annotated[float, Field(ge=0, le=100)] = Field(
        default=1.0,
        description="Points of the main metric that it may lose, shown at 95% confidence on the old "
        "test rows, and on the new ones.",
    )
    new_labels: bool = Field(
        default=False, description="Whether labels may come that the old model does not know."
    )
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25, description="Share of the new labelled rows kept apart as new test rows."
    )
    canary: Trial = Field(default_factory=Trial)


class Recipe(Section):
    """A whole recipe."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] = Field(
        description="Name of the run and of the bundle: letters, digits, -."
    )
    task: Part = Field(description="What is solved; `mw list tasks`.")
    effort: Effort = Field(
        default="standard", description="One dial from which the rest is derived."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="Seed of every random choice."
    )
    data: Data = Field(description="The rows.")
    base: str | None = Field(
        default=None,
        description="Catalogue name, hub id, folder, or scratch[:SIZE]; derived by task, language.",
    )
    finetune: Finetune = Field(default_factory=Finetune)
    compress: Compress | None = Field(
        default=None, description="Search a smaller model; skipped where it is not named."
    )
    evaluate: Evaluate = Field(default_factory=Evaluate)
    package: Package = Field(default_factory=Package)
    serve: Serve = Field(default_factory=Serve)
    monitor: Monitor = Field(default_factory=Monitor)
    renew: Renew = Field(default_factory=Renew)


FUTURE_STAGES = ("pretrain",)
"""Stages of the contract that this release does not have; naming one is MW-110."""
