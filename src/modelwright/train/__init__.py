"""A Dataset to a Checkpoint: encode once, batch by length, fine-tune, keep the best.

in:  Dataset, base, finetune section       out: a checkpoint folder (see models/checkpoint.py)

rows ─▶ features (cached) ─▶ batches of like length ─▶ Trainer ─▶ best epoch ─▶ checkpoint
                                                        ▲
                                methods/: full, head, lora (what is trained)
"""
