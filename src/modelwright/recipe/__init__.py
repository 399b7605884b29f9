"""What the user asks for: load (with line numbers), check (all mistakes at once), derive, explain.

    recipe.yaml ─ load ─▶ values + places ─ check ─▶ Recipe ─ derive(facts) ─▶ Recipe, every value
                                                                               with its origin
"""
