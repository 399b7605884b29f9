"""Base models: the catalogue, where their files come from, and the network that is trained.

catalogue.py   names, licences, languages, digests of bases that we know
bases.py       a recipe's `base` -> files on this disk (package, hub, folder, scratch)
network.py     backbone + head as one torch module
dropout.py     dropout without torch's slow CPU generator
checkpoint.py  a trained network with its task and encoder, saved and opened
families/      ONE FILE PER BACKBONE FAMILY
"""
