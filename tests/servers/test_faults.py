"""Who meets a fault, and how often."""

import pytest

from servers.faults import Fault, Faults


def met(faults: Faults, *keys: str, method: str = "GET") -> list[str]:
    """The kinds of the faults that requests for `keys` meet, in turn."""
    found = [faults.next(method, key) for key in keys]
    return [f"{f.kind}{n}" if f else "-" for f, n in found]


def test_each_key_is_counted_on_its_own():
    faults = Faults()
    faults.add(Fault("em/", "flip", times=2, skip=1))
    assert met(faults, *["em/a"] * 5) == ["-", "flip1", "flip2", "-", "-"]
    assert met(faults, "em/b", "em/b", "seg/a") == ["-", "flip1", "-"]
    faults.clear()
    assert met(faults, "em/a") == ["-"]


def test_or_all_together():
    faults = Faults()
    faults.add(Fault("em/", "close", times=2, each=False))
    assert met(faults, "em/a", "em/b", "em/c") == ["close1", "close2", "-"]


def test_one_after_the_other():
    faults = Faults()
    faults.add(Fault("", "status", times=2))
    faults.add(Fault("em", "hang", skip=1))
    found = met(faults, *["em"] * 5)
    assert found == ["status1", "status2", "-", "hang1", "hang2"]
    assert met(faults, *["a"] * 3) == ["status1", "status2", "-"]


def test_methods():
    faults = Faults()
    faults.add(Fault("", "reset", methods=("POST", "PUT")))
    assert met(faults, "a") == ["-"]
    assert met(faults, "a", method="POST") == ["reset1"]


def test_unknown_kind():
    with pytest.raises(ValueError, match="'explode', expected one of status"):
        Fault("em/", "explode")
