"""A trained model as the base of its successor: backbone, tokenizer, and what its head knows.

NAME-VERSION/
  config.json model.safetensors tokenizer.json 1_Pooling/config.json README.md   any base has these
  head.safetensors labels.json     rows of the head by label, taken over by label (heads.py)
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import read_bundle
from modelwright.encoders.text import TextEncoder
from modelwright.models.heads import HEAD, LABELS
from modelwright.models.importing import open_model
from modelwright.runtime.files import write_json, write_text, writing_errors


def write_base(bundle: Path, folder: Path) -> None:
    """Write the network of a bundle of texts as a base to go on from; whole or absent.

    Raises:
        UserError: MW-605 for a bundle without a torch variant.
    """
    from safetensors.torch import save_file

    manifest = read_bundle(bundle)
    model, _ = open_model(bundle, manifest["task"], {})
    network: Any = model.network
    assert isinstance(model.encoder, TextEncoder), "texts alone are renewed"  # noqa: S101
    with writing_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        network.backbone.save_pretrained(str(scratch))
        model.encoder.tokenizer.no_truncation()
        model.encoder.tokenizer.save(str(scratch / "tokenizer.json"))
        head = {name: value.contiguous() for name, value in network.head.state_dict().items()}
        save_file(head, str(scratch / HEAD))
        write_json(scratch / LABELS, list(model.task.spec.labels))
        first = network.settings.pooling == "cls"
        write_json(scratch / "1_Pooling" / "config.json", {"pooling_mode_cls_token": first})
        licence = manifest.get("base", {}).get("licence", "unknown")
        write_text(scratch / "README.md", f"---\nlicense: {licence}\n---\n")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
