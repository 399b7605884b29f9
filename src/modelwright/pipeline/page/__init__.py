"""The HTML report of a run: one file, no network, in English and Chinese.

    run.json ledger.json recipe.resolved.yaml bundle/bundle.json details/*.json
        ─▶ _run (read what is there) ─▶ _view (tables, charts, advice) ─▶ templates ─▶ report.html

Text from the data is escaped by jinja2; charts are SVG written in `_charts_*.py`. Every fixed
sentence is in `templates/words.json`, in both languages.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["render"]


def render(folder_of_run: Path) -> Path:
    """Write `report.html` into a run's folder from the JSON files in it.

    A file that is missing leaves its section with a line that says so; a run that stopped half-way
    has a page that says why.

    Raises:
        UserError: MW-802 when the folder cannot be written.
    """
    from modelwright.pipeline.page import _template
    from modelwright.runtime.files import write_text

    path = folder_of_run / "report.html"
    write_text(path, _template.html(folder_of_run))
    return path
