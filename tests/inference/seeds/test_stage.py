import inspect

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import seeds, subvolume
from ffn_tf.inference.seeds import arguments as arguments_lib
from ffn_tf.inference.seeds import stage as stage_lib

SHAPE, MARGIN = (20, 22, 24), (2, 3, 4)


@pytest.fixture
def image():
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


def found(image, name, arguments=(), *, excluded=None, taken=None, **place):
    """Positions of each stage."""
    nothing = np.zeros(SHAPE, np.int32)
    return [
        stage.find(
            image,
            nothing > 0 if excluded is None else excluded,
            nothing if taken is None else taken,
            MARGIN,
        ).tolist()
        for stage in seeds.stages(name, dict(arguments), **place)
    ]


def test_a_field_of_view_must_fit():
    shape, margin = (10, 12, 14), (2, 3, 4)
    fits = [[2, 3, 4], [7, 8, 9], [4, 5, 6]]
    outside = [
        [1, 3, 4],
        [2, 2, 4],
        [2, 3, 3],
        [8, 8, 9],
        [7, 9, 9],
        [7, 8, 10],
    ]
    positions = np.array([p for pair in zip(fits, outside) for p in pair])
    left = seeds.interior(positions, shape, margin)
    assert left.tolist() == fits
    assert len(seeds.interior(np.array(outside), shape, margin)) == 0


def test_a_stage_keeps_what_may_be_tried(image):
    excluded = np.zeros(SHAPE, bool)
    excluded[10] = True
    (grid,) = found(image, "PolicyGrid3d", {"step": 1, "offsets": [0]})
    assert len(grid) == 16 * 16 * 16
    (rest,) = found(
        image, "PolicyGrid3d", {"step": 1, "offsets": [0]}, excluded=excluded
    )
    assert rest == [position for position in grid if position[0] != 10]


NEED_A_RUN = {"PolicyInvertOrigins", "PolicyInverseOrigins"}
PLAIN = sorted(stage_lib._POLICIES.keys() - NEED_A_RUN)
# Texture of a few voxels has few peaks.
FEW = {"PolicyPeaks2d": {"min_distance": 2, "threshold_abs": 0}}


@pytest.fixture
def room():
    """Segment 4, and within it a room with a pillar."""
    taken = np.full(SHAPE, 4, np.int32)
    taken[9:18, 3:19, 5:20] = 0
    taken[:, 9:11, 11] = 5
    return taken


@pytest.mark.parametrize("name", PLAIN)
def test_every_policy_has_seeds_that_may_be_tried(name, image, room):
    (positions,) = found(image, name, FEW.get(name, {}), taken=room)
    assert len(positions) >= 4
    left = seeds.interior(np.array(positions), SHAPE, MARGIN)
    assert left.tolist() == positions
    if name in ("PolicyPeaks", "PolicyFillEmptySpace"):
        assert not room[tuple(np.transpose(positions))].any()


@pytest.mark.parametrize("name", PLAIN)
def test_every_policy_may_be_reversed(name, image, room):
    arguments = dict(FEW.get(name, {}))
    (forward,) = found(image, name, arguments, taken=room)
    arguments["policy_to_reverse"] = name
    (backward,) = found(image, "ReverseCoords", arguments, taken=room)
    assert backward == list(reversed(forward))


def test_reversed_policies_have_their_arguments(image):
    arguments = {"step": 5, "offsets": [4, 2]}
    (forward,) = found(image, "PolicyGrid3d", arguments)
    arguments["policy_to_reverse"] = "PolicyGrid3d"
    assert found(image, "ReverseCoords", arguments) == [forward[::-1]]
    # Twice is not at all.
    again = {
        "policy_to_reverse": "SequentialPolicies",
        "policies": [["ReverseCoords", arguments]],
    }
    assert found(image, "ReverseCoords", again) == [forward]


PARTS = (
    ["PolicyGrid3d", {"step": 9}],
    ["PolicyFillEmptySpace", {}],
    ["PolicyGrid2d", {"step": 7}],
)


def test_policies_in_sequence_are_as_many_stages(image, room):
    nested = ["SequentialPolicies", {"policies": list(PARTS[1:])}]
    arguments = {"policies": [PARTS[0], nested]}
    singly = [found(image, *part, taken=room)[0] for part in PARTS]
    assert all(singly)
    assert found(image, "SequentialPolicies", arguments, taken=room) == singly
    # Backwards, the last policy is first.
    arguments["policy_to_reverse"] = "SequentialPolicies"
    backward = found(image, "ReverseCoords", arguments, taken=room)
    assert backward == [part[::-1] for part in reversed(singly)]


def test_a_later_stage_sees_what_an_earlier_one_left(image, room):
    first, second = seeds.stages(
        "SequentialPolicies",
        {"policies": [["PolicyPeaks", {}], ["PolicyFillEmptySpace", {}]]},
    )
    nowhere = np.zeros(SHAPE, bool)
    assert len(first.find(image, nowhere, 0 * room, MARGIN))
    assert len(second.find(image, nowhere, 0 * room, MARGIN)) == 0
    left = second.find(image, nowhere, room, MARGIN)
    assert len(left) and not room[tuple(left.T)].any()


def test_all_at_once(image):
    excluded = np.zeros(SHAPE, bool)
    arguments = {"policies": [PARTS[0], PARTS[2]]}
    once = seeds.find(
        "SequentialPolicies", image, excluded, MARGIN, **arguments
    )
    stepwise = found(image, "SequentialPolicies", arguments)
    assert once.tolist() == [p for part in stepwise for p in part]


# -----------------------------------------------------------------------------
# What the image brings along
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["PolicyPeaks", "PolicyPeaks2d", "PolicyFillEmptySpace"]
)
def test_the_voxel_size_is_the_images_or_the_users(name, image, room):
    size, few = (30, 6, 15), FEW.get(name, {})

    def of(arguments, **place):
        return found(image, name, {**few, **arguments}, taken=room, **place)

    cubes = of({})
    anisotropic = of({}, voxel_size_zyx=size)
    assert anisotropic != cubes
    assert of({"voxel_size_zyx": list(size)}) == anisotropic
    assert of({"voxel_size_zyx": [4, 4, 4]}, voxel_size_zyx=size) == cubes


@pytest.mark.parametrize("name", sorted(NEED_A_RUN))
def test_the_corner_is_the_images_or_the_users(name, image, tmp_path):
    for corner, start in (((1, 2, 3), (9, 8, 7)), ((1, 2, 4), (7, 8, 9))):
        subvolume.save(
            tmp_path,
            subvolume.Subvolume(
                volume.Box.from_size(corner, SHAPE),
                np.zeros(SHAPE, np.uint8),
                # Not all seeds of another network's run fit.
                {
                    1: subvolume.OriginInfo(start, 3),
                    2: subvolume.OriginInfo((0, 0, 0), 3),
                },
            ),
        )
    arguments = {"segmentation_dir": str(tmp_path)}
    place = {"corner_zyx": (1, 2, 3)}
    assert found(image, name, arguments, **place) == [[[9, 8, 7]]]
    arguments["corner"] = [1, 2, 4]
    assert found(image, name, arguments, **place) == [[[7, 8, 9]]]


# -----------------------------------------------------------------------------
# What cannot work
# -----------------------------------------------------------------------------

NO_STEP = ["PolicyGrid3d", {"step": 0}]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("Peaks", {}, r"'Peaks': expected one of .*'PolicyPeaks'.*'Reverse"),
        ("PolicyMax", {"a": 1}, r"PolicyMax takes \[\], found \['a'\]"),
        (
            "PolicyPeaks2d",
            {"sort": 1, "min_distance": 1},
            r"\['min_distance', 'sort_cmp', .*\], found \['sort'\]",
        ),
        ("PolicyPeaks", {"image": 1}, r"found \['image'\]"),
        (
            "PolicyInvertOrigins",
            {},
            r"needs \['segmentation_dir'\], found \[\]",
        ),
        ("PolicyInvertOrigins", {"segmentation_dir": ""}, "expected a folder"),
        ("SequentialPolicies", {}, r"needs \['policies'\]"),
        ("SequentialPolicies", {"policies": []}, "one or more"),
        ("SequentialPolicies", {"policies": ["PolicyPeaks"]}, "one or more"),
        ("SequentialPolicies", {"policies": [["A", {}]]}, "policy 'A'"),
        ("SequentialPolicies", {"policies": [NO_STEP]}, "step: expected"),
        ("SequentialPolicies", {"policies": [], "a": 1}, r"found \['a'\]"),
        ("ReverseCoords", {"step": 1}, r"needs \['policy_to_reverse'\]"),
        ("ReverseCoords", {"policy_to_reverse": 1}, "a policy's name, found 1"),
        (
            "ReverseCoords",
            {"policy_to_reverse": "PolicyMax", "step": 1},
            r"PolicyMax takes \[\], found \['step'\]",
        ),
    ],
)
def test_what_cannot_work_is_one_clear_error(name, arguments, expected):
    with pytest.raises(ValueError, match=expected):
        seeds.check_arguments(name, arguments)


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("corner", [[0, 1, 2], (3, 4, 5)], [[1, 2], [0, 0, -1], "012", 1]),
        ("disk_radius", [0, 3], [-1, 1.5, True, "1", None]),
        ("invert", [True, False], [0, 1, "true", None]),
        ("min_distance", [0, 3], [-1, 3.0, True]),
        ("min_distance_2d", [-1, 3], [3.0, True, "3"]),
        ("min_distance_3d", [-1, 3], [3.0, True, "3"]),
        ("num_erosions", [0, 3], [-1, 3.0, True]),
        ("offsets", [[0, 8], (1,)], [[], [-1], [1.5], 8, {}]),
        ("policies", [[["A", {}]]], [[], {}, [["A"]], [[1, {}]], [["A", []]]]),
        ("policy_to_reverse", ["A"], [1, None, ["A"]]),
        ("segmentation_dir", ["a"], ["", 1, None]),
        ("sort_cmp", ["ascending", "Desc"], ["", "up", 1, None]),
        ("step", [1, 16], [0, -1, 1.5, True, [16]]),
        ("threshold", [-1, 0.5], [np.nan, np.inf, "1", True, None]),
        ("threshold_abs", [-1, 0.5], [np.nan, np.inf, "1", True, None]),
        ("threshold_rel", [-1, 0.5], [np.nan, np.inf, "1", True, None]),
        (
            "voxel_size_zyx",
            [[4, 1, 0.5], (1, 2, 3)],
            [[1, 1], [1, 0, 1], [1, np.inf, 1], [1, "1", 1], 1, None],
        ),
    ],
)
def test_the_type_of_each_argument(key, right, wrong):
    for value in right:
        arguments_lib.check("Policy", {key: True}, {key: value})
    for value in wrong:
        with pytest.raises(ValueError, match=f"Policy: {key}: expected .*, f"):
            arguments_lib.check("Policy", {key: True}, {key: value})


@pytest.mark.parametrize("name", sorted(stage_lib._POLICIES))
def test_the_defaults_are_right(name):
    policy = stage_lib._POLICIES[name]
    parameters = inspect.signature(policy).parameters
    known = arguments_lib.of(policy)
    defaults = {k: parameters[k].default for k in known if not known[k]}
    arguments_lib.check(name, dict.fromkeys(known, False), defaults)
