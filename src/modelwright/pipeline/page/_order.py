"""An order of classes in which those that are confused stand side by side."""

from __future__ import annotations

from collections.abc import Sequence


def seriated(matrix: Sequence[Sequence[int]]) -> list[int]:
    """Indices of the classes: chains joined at their ends, the most confused pairs first.

    Small matrices (up to 8 classes) keep the order of the labels.
    """
    count = len(matrix)
    if count <= 8:
        return list(range(count))
    pairs = sorted(
        (-(matrix[a][b] + matrix[b][a]), a, b)
        for a in range(count)
        for b in range(a + 1, count)
        if matrix[a][b] + matrix[b][a]
    )
    chain_of = {index: [index] for index in range(count)}
    for _, a, b in pairs:
        first, second = chain_of[a], chain_of[b]
        if first is second or a not in (first[0], first[-1]) or b not in (second[0], second[-1]):
            continue
        if first[0] == a:
            first.reverse()
        if second[-1] == b:
            second.reverse()
        first.extend(second)
        for index in second:
            chain_of[index] = first
    chains = {id(chain): chain for chain in chain_of.values()}
    ranked = sorted(chains.values(), key=lambda chain: (-len(chain), min(chain)))
    return [index for chain in ranked for index in chain]
