"""What a signal did, in a sentence."""

from __future__ import annotations

from modelwright.monitor.sketches import LEAST_EDGE
from modelwright.monitor.stage import MISSING, Found

_WHY_ZH = dict(
    zip(
        MISSING.values(),
        ("未记录输入(serve.record.inputs)", "未记录输入,或该模型不提供向量", "没有回答包含此项"),
        strict=True,
    )
)


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
    return f"{shares} {_side(moved.place, moved.above)}"


def _side(place: float, above: bool) -> str:
    if 0 < place <= LEAST_EDGE:
        return "above 0" if above else "at 0"
    return f"{'at or above' if above else 'below'} {place:.4g}"


def sentence_zh(found: Found) -> str:
    """In Chinese."""
    moved = found.moved
    if moved is None:
        return f"未比较:{_WHY_ZH.get(found.missing, found.missing)}"
    if found.score <= 0 or moved.p >= 1:
        return "没有变化"
    if moved.place == "":
        return f"需移动 {moved.window:.0%} 的行才能与参考一致(许多类别各变一点)"
    if isinstance(moved.place, str):
        return f"{moved.place}:占 {moved.window:.1%},参考为 {moved.reference:.1%}"
    if 0 < moved.place <= LEAST_EDGE:
        side = "大于 0" if moved.above else "等于 0"
    else:
        side = f"{'不低于' if moved.above else '低于'} {moved.place:.4g}"
    return f"{side} 的占 {moved.window:.1%},参考为 {moved.reference:.1%}"
