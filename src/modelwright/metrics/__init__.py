"""Measures of quality: pure functions on numpy arrays, each with its paper or standard.

    inputs.py          what every measure demands of its arrays, and the array types
    scores.py          precision, recall and F1 from counts of hits, false alarms and misses
    classification.py  one label per row
    multilabel.py      any number of labels per row
    regression.py      a number per row
    spans.py           tagged tokens and the entities they spell (BIO, BIOES, BILOU)
    calibration.py     does 80% confident mean right 80% of the time?
    intervals.py       how far a value, or a difference of two systems, can be trusted
    resampling.py      the fast bootstrap engine beneath intervals.py
    agreement.py       do two forms of one model answer alike?
    confident.py       which labels of a dataset look wrong?

Everything here raises `ValueError`, in plain words, on empty input, on lengths that differ and
on NaN. Shape suffixes: N rows, C classes, K counts per row, R resamples, B bins, S suspects,
T entity types.
"""
