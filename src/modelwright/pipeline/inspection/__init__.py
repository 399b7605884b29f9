"""Looks at data and writes a first recipe for it; asks nothing, and says where it was unsure.

DATA ─ splits ─▶ files of each split ─ columns ─▶ facts of each column ─ guess ─▶ task, roles
                                                                       ─ draft ─▶ recipe text
"""
