"""The main language of a set of texts."""

from __future__ import annotations

import pytest

from modelwright.encoders.language import main_language


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["How do I activate my card?", "The food was great"], "en"),
        (["味道很好，送餐很快", "下次再来 OK"], "zh"),
        (["iPhone 的屏幕很好", "用 Python 写的代码"], "zh"),
        (["ありがとうございます、また来ます", "とても美味しかった"], "ja"),
        (["정말 맛있어요", "다시 올게요"], "ko"),
        (["Das ist nicht die Karte, die ich bestellt habe", "Wie geht es von hier"], "de"),
        (["La carte n'est pas dans le courrier que vous avez envoyé"], "fr"),
        (["El pago no es correcto y los datos se ven mal para mi"], "es"),
        (["Спасибо большое"], "ru"),
        (["xyzzy qwrt"], "en"),
        (["123 456", "!!"], ""),
        ([], ""),
    ],
)
def test_the_main_language_is_told(texts: list[str], language: str) -> None:
    assert main_language(texts)[0] == language


def test_shares_of_scripts_add_up() -> None:
    _, shares = main_language(["abc", "好"])
    assert shares == {"latin": 0.5, "han": 0.5}
