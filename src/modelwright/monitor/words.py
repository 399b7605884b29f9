"""What a signal did, in a sentence."""

from __future__ import annotations

from modelwright.monitor.stage import Found


def sentence(found: Found) -> str:
    """In English."""
    moved = found.moved
    if moved is None:
        return f"not compared: {found.missing}"
    if found.score <= 0 or moved.p >= 1:
        return "as it was"
    if moved.place == "":
        return f"{moved.window:.0%} of rows would have to change place (many moved a little)"
    shares = f"{moved.window:.1%} of rows instead of {moved.reference:.1%}"
    if isinstance(moved.place, str):
        return f"{moved.place}: {shares}"
    side = "at or above" if moved.above else "below"
    return f"{shares} {side} {moved.place:.4g}"


def sentence_zh(found: Found) -> str:
    """In Chinese."""
    moved = found.moved
    if moved is None:
        return "未比较"
    if found.score <= 0 or moved.p >= 1:
        return "没有变化"
    if moved.place == "":
        return f"需移动 {moved.window:.0%} 的行才能与参考一致(许多类别各变一点)"
    if isinstance(moved.place, str):
        return f"{moved.place}:占 {moved.window:.1%},参考为 {moved.reference:.1%}"
    side = "不低于" if moved.above else "低于"
    return f"{side} {moved.place:.4g} 的占 {moved.window:.1%},参考为 {moved.reference:.1%}"
