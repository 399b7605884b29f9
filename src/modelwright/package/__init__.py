"""A Checkpoint and its Report to a Bundle: export, prove, measure, choose, seal.

in:  checkpoint folder, dataset, report       out: a bundle folder (see CONTRACT in docs)

formats ─▶ variants ─▶ parity gate on real rows ─▶ quality ─▶ speed ─▶ golden rows ─▶ bundle.json
"""
