"""A recipe to a run: plan the stages, skip what is unchanged, resume what was cut off.

keys.py      what determines each stage's artifact
stages.py    one function a stage: recipe and upstream artifacts to an artifact
running.py   the run folder, its lock, its record
planning.py  predictions from a short calibration on this machine
page/        report.html
"""
