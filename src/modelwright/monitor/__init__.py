"""Traffic + Bundle -> signals and alarms."""
