"""What can't be written is told with its place, whichever library met it."""

from __future__ import annotations

import errno
import shutil

import pytest

from modelwright.errors import UserError
from modelwright.runtime.files import writing_errors

FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
    RuntimeError("[enforce fail at inline_container.cc:668] . unexpected pos 128 vs 64"),
    RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
]


@pytest.mark.parametrize("error", FULL, ids=[str(one)[:40] for one in FULL])
def test_a_full_disk_is_told_in_the_same_words(error: Exception) -> None:
    with (
        pytest.raises(UserError, match="cannot write runs/a: No space") as caught,
        writing_errors("runs/a"),
    ):
        raise error
    assert caught.value.problem.code == "MW-802"


@pytest.mark.parametrize("error", [RuntimeError("other"), FileExistsError(17, "there", "else")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)), writing_errors("runs/a"):
        raise error
