import pytest

from tests.doubles.spools import SpoolWorld


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()
