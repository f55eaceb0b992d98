"""One process a data folder."""

from pathlib import Path

import pytest

from gateway.errors import UsageError
from gateway.exclusive import folder_held


def test_a_held_folder_is_refused_and_then_free_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with folder_held(data), pytest.raises(UsageError, match="already"), folder_held(data):
        pass
    with folder_held(data):
        assert (data / ".lock").exists()


def test_an_error_of_the_block_is_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), folder_held(tmp_path):
        raise BlockingIOError
