"""A Checkpoint to a smaller, faster one inside the user's limits, with its packaged form and proof.

in:  Checkpoint (the teacher), Dataset, compress section
out: checkpoint/ (the smaller network in fp32), form/ (the chosen packaged form),
     compression.json (what was measured, chosen and proven), proof/

teacher ─▶ passes/: vocabulary, layers, heads, ffn, distil ─▶ numeric forms ─▶ measured points
                                  ▲                                                  │
                                  └──────────────── search within limits ◀───────────┘
"""
