import pytest

from tests.doubles import listeners


@pytest.fixture(params=[0, 2], ids=["threads", "processes"])
def both_ways(request, monkeypatch):
    """The listener serves in threads of its own process, then in acceptor processes."""
    monkeypatch.setattr(listeners, "PROCESSES", request.param)
    return request.param
