"""Rows from anywhere to a clean, split, accounted-for Dataset.

    in:  data section of the recipe, the task          out: a Dataset folder with its ledger

    source ─▶ canonical (the task checks a row) ─▶ cleaners ─▶ splits ─▶ cross-split check ─▶ Arrow
"""
