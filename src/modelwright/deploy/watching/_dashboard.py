"""The panels as Grafana's JSON model (schema 39: Grafana 10 and later)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelwright.deploy.watching._alert import Subject
from modelwright.deploy.watching._panels import Panel, rows_of
from modelwright.recipe.schema import Slo

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HEIGHT, COLUMNS = 8, 24


def dashboard(manifest: Mapping[str, Any], slo: Slo) -> dict[str, Any]:
    """A dashboard for one model; its data source is chosen at its top.

    Args:
        manifest: of the bundle.
        slo: what is promised.

    Raises:
        UserError: MW-630.
    """
    subject = Subject.of(manifest, slo)
    return {
        "uid": f"mw-{subject.model}"[:40],
        "title": f"Modelwright: {subject.model}",
        "tags": ["modelwright"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_chosen_source()]},
        "annotations": {"list": [_alerts(subject)]},
        "panels": list(_placed(subject)),
    }


def _chosen_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "current": {},
    }


def _alerts(subject: Subject) -> dict[str, Any]:
    firing = f'ALERTS{{alertstate="firing",model="{subject.model}"}}'
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": firing,
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }


def _placed(subject: Subject) -> Iterator[dict[str, Any]]:
    """Panels with their numbers and places, a title line for each row."""
    number, top = 1, 0
    for title, panels in rows_of(subject):
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {
            "id": number, "type": "row", "title": title, "gridPos": place,
            "collapsed": False, "panels": [],
        }  # fmt: skip
        number, top, left = number + 1, top + 1, 0
        for panel in panels:
            if left + panel.width > COLUMNS:
                top, left = top + HEIGHT, 0
            place = {"x": left, "y": top, "w": panel.width, "h": HEIGHT}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            number, left = number + 1, left + panel.width
        top += HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": expr,
            "legendFormat": legend,
            "range": True,
            **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
        }
        for place, (expr, legend) in enumerate(panel.queries)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit}
    if panel.limit is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.limit}]
        if panel.unit == "percentunit" and panel.limit >= 0.9:  # better above it
            steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.limit}]
        field["thresholds"] = {"mode": "absolute", "steps": steps}
        field["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    return field


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto"}
    if panel.kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": panel.unit}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
