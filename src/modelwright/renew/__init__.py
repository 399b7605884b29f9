"""Traffic + recipe -> a better model in service, or the proof that there is none.

    traffic ─▶ choosing ─▶ to-label.csv ─▶ (people) ─▶ labels ─▶ merging ─▶ run ─▶ comparing
            ─▶ registry, canary, promotion

asked.py      what a renewal is asked to do
traffic.py    what callers sent, and what they said was right
choosing.py   which rows are worth a label
labels.py     labelled rows from a CSV or the feedback log, checked, with their origin
merging.py    old and new rows, a recipe for them, the old model as its base
comparing.py  the gate: old and new model on old and new test rows
trying.py     canary, promotion, roll-back through the admin port
rounds.py     the folder of a renewal, and the record of every decision
stage.py      the steps in order; the same command goes on where it was cut off
listening.py  Alertmanager's webhook
"""
