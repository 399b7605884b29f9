"""Bundle -> files for a place to run."""

from __future__ import annotations

from modelwright.deploy.stage import Deployed, deploy

__all__ = ["Deployed", "deploy"]
