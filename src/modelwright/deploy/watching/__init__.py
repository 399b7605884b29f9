"""A bundle's promises -> what watches them: rules, their tests, runbooks, alert routes, dashboard.

    rules(manifest, slo)         a Prometheus rule file, as data: {"groups": [...]}
    rule_tests(manifest, slo)    the test file of `promtool test rules`: each alert fires when it should
    alertmanager(receiver_url)   Alertmanager's configuration
    dashboard(manifest, slo)     Grafana's JSON model
    runbooks(manifest, slo)      file name -> Markdown, one page an alert

Series are told apart by the label `model`; the scrape jobs are named after the bundle, `NAME` for the
service and `NAME-monitor` for `mw monitor`, in any case of letters. All of it is made from one table
of `Alert`s (`_promises.py`, `_load.py`, `_batching.py`, `_rollout.py`, `_data.py`, `_upkeep.py`).
"""

from modelwright.deploy.watching._alertmanager import alertmanager
from modelwright.deploy.watching._dashboard import dashboard
from modelwright.deploy.watching._pace import hastened, seconds_of
from modelwright.deploy.watching._rules import rule_tests, rules
from modelwright.deploy.watching._runbooks import runbooks

__all__ = ["alertmanager", "dashboard", "hastened", "rule_tests", "rules", "runbooks", "seconds_of"]
