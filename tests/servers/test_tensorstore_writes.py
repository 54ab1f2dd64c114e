"""What TensorStore 0.1.86 does when a GCS server fails at writing.

The table is in test_tensorstore_faults.py.
"""

import numpy as np
import pytest

from servers import volumes
from servers.faults import Fault

PART = np.s_[10:12, 6:9, 5:6]


@pytest.mark.parametrize("name", volumes.FORMATS)
@pytest.mark.parametrize(
    "kind, more",
    [
        ("status", {"status": 503, "times": 2}),
        ("status", {"status": 412, "times": 1}),
        ("close", {"times": 1}),
        ("reset", {"times": 1}),  # Written, and the answer is lost.
        ("truncate", {"times": 1}),
        ("changed", {"times": 2}),  # Somebody else has written meanwhile.
    ],
)
def test_writes_that_need_several_attempts(
    gcs_server, gcs_bucket, name, kind, more
):
    place = gcs_server.kvstore(gcs_bucket)
    volumes.write(name, place)
    view = volumes.open(name, place, volumes.retries(3))
    gcs_server.add(Fault(gcs_bucket, kind, methods=("POST",), **more))
    view[PART].write(np.full((2, 3, 1), 7, np.uint16)).result()
    expected = volumes.VALUES.copy()
    expected[PART] = 7
    found = volumes.open(name, place).read().result()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "kind, more, is_written",
    [
        ("status", {"status": 503}, False),
        ("status", {"status": 403}, False),
        ("close", {}, False),
        ("reset", {}, True),
    ],
)
def test_writes_that_fail(gcs_server, gcs_bucket, kind, more, is_written):
    place = gcs_server.kvstore(gcs_bucket)
    volumes.write("unsharded", place)
    view = volumes.open("unsharded", place, volumes.retries(2))
    gcs_server.add(Fault(gcs_bucket, kind, methods=("POST",), **more))
    with pytest.raises(ValueError, match=r"Error writing gs://.*s0/8-16_5-10"):
        view[PART].write(np.full((2, 3, 1), 7, np.uint16)).result()
    found = volumes.open("unsharded", place).read().result()
    assert (found[PART] == 7).all() == is_written
    found[PART] = volumes.VALUES[PART]
    np.testing.assert_array_equal(found, volumes.VALUES)
