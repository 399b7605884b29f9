"""What the user asks for: load (with line numbers), check (all mistakes at once), derive, explain.

recipe.yaml ─ load ─▶ values + places ─ check ─▶ Recipe ─ derive(facts) ─▶ Recipe, every value
                                                                           with its origin

places        a value's path and its line           load      file, --set, ${VAR}
parse         YAML 1.2 to values and places          check     every mistake at once
schema        the shape: sections, keys, ranges      derive    what is not pinned
shape         values against the schema              resolved  the complete recipe, commented
parts         names and options of parts             explain   for `mw explain`
files         what must be there
combinations  what contradicts
"""
