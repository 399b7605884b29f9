"""Traffic + Bundle -> signals and alarms: has the world moved, and are the answers still right.

reference.py   what a bundle keeps of the rows that it was judged on: sketches, no rows
signals/       what is looked at, one file each
sketches.py    counts that can be added up, and the test of two of them
stage.py       recorded traffic beside the reference -> findings
quality.py     how good the answers are: by feedback, and by confidence alone
page.py        the findings as one HTML page
watching.py    the same every so often, as gauges for Prometheus
"""

from modelwright.monitor.stage import Findings, run

__all__ = ["Findings", "run"]
