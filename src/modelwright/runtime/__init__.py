"""The process we run in: files, progress, seeds, device, machine, optional libraries, memory."""
