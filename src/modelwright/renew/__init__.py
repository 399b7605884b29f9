"""Traffic + recipe -> a better model in service, or the proof that there is none."""
