"""The house rules that a machine can check (DESIGN.md 2, STYLE.md 1 and 12).

Each rule is a function from the parsed modules of a tree to its offences, so
that it can be seen to fail: the first half of the tests feeds it made-up
modules, the second half the real ones.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Which rooms a room may import. The programs, beside the rooms, may import
# them all, and nothing imports a program but the demos, which run them.
MAY_IMPORT: dict[str, set[str]] = {
    "ffn_tf.program": set(),
    "ffn_tf.volume": {"program"},
    "ffn_tf.sampling": {"program", "volume"},
    "ffn_tf.model": {"program", "volume"},
    "ffn_tf.training": {"program", "volume", "sampling", "model"},
    "ffn_tf.inference": {"program", "volume", "model", "jobs"},
    "ffn_tf.assembly": {"program", "volume", "inference"},
    "ffn_tf.agglomeration": {
        "program",
        "volume",
        "model",
        "inference",
        "assembly",
    },
    "ffn_tf.skeleton": {"program", "volume"},
    "ffn_tf.evaluation": {"program", "volume", "skeleton"},
    "ffn_tf.validation": {
        "program",
        "volume",
        "model",
        "inference",
        "evaluation",
        "skeleton",
    },
    "ffn_tf.jobs": {"program", "volume"},
    "ffn_tf.viewer": {
        "program",
        "volume",
        "inference",
        "skeleton",
        "evaluation",
    },
    "ffn_tf.phantom": {"program", "volume", "skeleton"},
    "segclr.sampling": set(),
    "segclr.cutouts": {"sampling"},
    "segclr.model": set(),
    "segclr.training": {"sampling", "cutouts", "model", "classification"},
    "segclr.embedding": {"sampling", "cutouts", "model"},
    "segclr.aggregation": {"embedding"},
    "segclr.classification": {"model", "embedding", "aggregation"},
    "segclr.merges": {"embedding", "aggregation", "classification"},
    "segclr.reporting": {"cutouts", "classification"},
}
DEMOS = ("ffn_tf.demo", "segclr.demo")

# What runs on numpy alone, down to its last import.
WITHOUT_TENSORFLOW = (
    "ffn_tf.assembly",
    "ffn_tf.evaluation",
    "ffn_tf.inference.subvolume",
    "ffn_tf.jobs",
    "ffn_tf.phantom",
    "ffn_tf.sampling.partitions",
    "ffn_tf.skeleton",
    "ffn_tf.validation.ranking",
    "ffn_tf.volume",
)
TENSORFLOW = {"tensorflow", "keras", "jax", "openvino"}

# Readers of formats that fix the order x, y, z.
MAY_REVERSE_AXES = {"ffn_tf.volume.address"}
MAY_UNPICKLE = {"ffn_tf.inference.pickles"}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal"}
PICKLES |= {"shelve"}

MAX_LINES = 400

Modules = dict[str, ast.Module]


# -----------------------------------------------------------------------------
# The walker
# -----------------------------------------------------------------------------


def read_modules(root: pathlib.Path) -> Modules:
    """The modules of both packages by name; a package goes by its own."""
    modules = {}
    for package in ("ffn_tf", "segclr"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            modules[".".join(parts)] = ast.parse(path.read_bytes())
    return modules


def imports(
    name: str, modules: Modules, *, lazy: bool = True
) -> Iterator[tuple[str, int]]:
    """What a module imports, with the line.

    Importing a.b.c also runs a and a.b, so these are named too. `lazy`
    includes the imports inside functions.
    """
    todo: list[ast.AST] = [modules[name]]
    while todo:
        node = todo.pop()
        if not lazy and isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        todo.extend(ast.iter_child_nodes(node))
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from a.b import c`: c is a module, or a name in a.b.
            found = [
                full if full in modules else str(node.module) for full in found
            ]
        for full in found:
            parts = full.split(".")
            for size in range(1, len(parts) + 1):
                yield ".".join(parts[:size]), node.lineno


def room_of(name: str) -> str | None:
    """`ffn_tf.volume` of `ffn_tf.volume.box`; None for programs."""
    room = ".".join(name.split(".")[:2])
    return room if room in MAY_IMPORT else None


def is_program(name: str, modules: Modules) -> bool:
    """True for the modules beside the rooms."""
    is_folder = any(other.startswith(f"{name}.") for other in modules)
    return name.count(".") == 1 and not is_folder and room_of(name) is None


# -----------------------------------------------------------------------------
# The rules
# -----------------------------------------------------------------------------


def unknown_rooms(modules: Modules) -> list[str]:
    """Folders that the table does not have; nameless ones must not be."""
    folders = {".".join(n.split(".")[:2]) for n in modules if n.count(".") > 1}
    return sorted(folders - MAY_IMPORT.keys())


def back_edges(modules: Modules) -> list[str]:
    """Imports against the direction of the table."""
    offences = []
    for name in modules:
        room = room_of(name)
        for target, line in imports(name, modules):
            other = room_of(target)
            if name.startswith("ffn_tf") and target.startswith("segclr"):
                offences.append(f"{name}:{line}: ffn_tf imports {target}")
            elif target in modules and is_program(target, modules):
                if name not in DEMOS:
                    offences.append(f"{name}:{line}: imports program {target}")
            elif room and other and other != room:
                wing = room.split(".")[0]
                allowed = {f"{wing}.{r}" for r in MAY_IMPORT[room]}
                # segclr may use all of ffn_tf.
                in_other_wing = not other.startswith(f"{wing}.")
                if other not in allowed and not in_other_wing:
                    offences.append(f"{name}:{line}: {room} imports {other}")
    return sorted(set(offences))


def cycles(modules: Modules) -> list[str]:
    """Modules that need each other before either is there."""
    graph = {
        name: {
            target
            for target, _ in imports(name, modules, lazy=False)
            # A package runs before its modules and imports them: that is fine.
            if target in modules and not name.startswith(f"{target}.")
        }
        - {name}
        for name in modules
    }
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def tensorflow_reached(modules: Modules, start: str) -> list[str]:
    """The way from a module to TensorFlow and the like, if there is one."""
    ways = {start: [start]}
    todo = [start]
    while todo:
        name = todo.pop()
        for target, line in imports(name, modules):
            if target in TENSORFLOW:
                return [*ways[name], f"{target} (line {line})"]
            if target in modules and target not in ways:
                ways[target] = [*ways[name], target]
                todo.append(target)
    return []


def axis_reversals(modules: Modules) -> list[str]:
    """`[::-1]`, also behind an ellipsis, where no foreign format is read."""

    def is_reversal(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Slice)
            and node.lower is node.upper is None
            and node.step is not None
            and ast.unparse(node.step) == "-1"
        )

    return [
        f"{name}:{node.lineno}: [::-1]"
        for name, tree in modules.items()
        if name not in MAY_REVERSE_AXES
        for node in ast.walk(tree)
        if is_reversal(node)
    ]


def code_from_data(modules: Modules) -> list[str]:
    """eval, exec, compile, and everything that unpickles."""
    offences = []
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "compile", "yaml.load"):
                offences.append(f"{name}:{node.lineno}: {called}")
            for keyword in node.keywords:
                is_false = ast.unparse(keyword.value) == "False"
                if keyword.arg == "allow_pickle" and not is_false:
                    offences.append(f"{name}:{node.lineno}: allow_pickle")
        if name not in MAY_UNPICKLE:
            offences += [
                f"{name}:{line}: imports {target}"
                for target, line in imports(name, modules)
                if target in PICKLES
            ]
    return offences


def stray_flags(modules: Modules) -> list[str]:
    """Flags that come into being when a library is imported."""
    offences = []
    for name, tree in modules.items():
        in_program_room = room_of(name) == "ffn_tf.program"
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).split(".")[-1]
            if called.startswith("DEFINE_") and not in_program_room:
                offences.append(f"{name}:{node.lineno}: {called}")
            if called == "define_flags" and not is_program(name, modules):
                offences.append(f"{name}:{node.lineno}: {called}")
    return offences


# -----------------------------------------------------------------------------
# The rules on made-up modules
# -----------------------------------------------------------------------------


def parsed(**sources: str) -> Modules:
    """Modules by name, with `__` for the dot."""
    return {
        name.replace("__", "."): ast.parse(source)
        for name, source in sources.items()
    }


@pytest.mark.parametrize(
    "source",
    [
        "import ffn_tf.model",
        "import ffn_tf.model.fov as fov",
        "from ffn_tf import model",
        "from ffn_tf.model import fov",
        "from ffn_tf.model.fov import Fov",
        "def f():\n    from ffn_tf import model",
    ],
)
def test_back_edge_is_seen(source: str) -> None:
    found = back_edges(
        parsed(
            ffn_tf__volume__box=source, ffn_tf__model="", ffn_tf__model__fov=""
        )
    )
    line = source.count("\n") + 1
    assert found == [
        f"ffn_tf.volume.box:{line}: ffn_tf.volume imports ffn_tf.model"
    ]


def test_forward_edges_are_not() -> None:
    modules = parsed(
        ffn_tf="",
        ffn_tf__volume="from ffn_tf.volume import box",
        ffn_tf__volume__box="import numpy as np",
        ffn_tf__model="from ffn_tf import volume",
        ffn_tf__train="from ffn_tf import model, volume",
        ffn_tf__demo="from ffn_tf import train",
        segclr__model="from ffn_tf import model",
    )
    assert back_edges(modules) == []
    assert cycles(modules) == []


def test_wings_and_programs() -> None:
    modules = parsed(
        ffn_tf__train="",
        ffn_tf__volume="",
        ffn_tf__volume__box="from ffn_tf import train",
        ffn_tf__evaluate="import segclr.model",
        segclr__model="from segclr import training",
        segclr__training="",
    )
    modules |= parsed(segclr__training__loop="", segclr__model__heads="")
    assert back_edges(modules) == [
        "ffn_tf.evaluate:1: ffn_tf imports segclr",
        "ffn_tf.evaluate:1: ffn_tf imports segclr.model",
        "ffn_tf.volume.box:1: imports program ffn_tf.train",
        "segclr.model:1: segclr.model imports segclr.training",
    ]


def test_cycle_is_seen_unless_it_is_lazy() -> None:
    modules = parsed(
        ffn_tf__volume__a="from ffn_tf.volume import b",
        ffn_tf__volume__b="from ffn_tf.volume import a",
    )
    (found,) = cycles(modules)
    assert "ffn_tf.volume.a -> ffn_tf.volume.b" in found
    modules |= parsed(
        ffn_tf__volume__b="def f():\n    from ffn_tf.volume import a"
    )
    assert cycles(modules) == []


def test_tensorflow_is_reached_through_a_package() -> None:
    modules = parsed(
        ffn_tf__volume__box="from ffn_tf.model import fov",
        ffn_tf__model="from ffn_tf.model import layers",
        ffn_tf__model__fov="",
        ffn_tf__model__layers="def f():\n    import tensorflow.io as io",
    )
    assert tensorflow_reached(modules, "ffn_tf.volume.box") == [
        "ffn_tf.volume.box",
        "ffn_tf.model",
        "ffn_tf.model.layers",
        "tensorflow (line 2)",
    ]
    assert tensorflow_reached(modules, "ffn_tf.model.fov") == []


def test_reversal_is_seen() -> None:
    bad = ["a[::-1]", "a[..., ::-1]", "a[:, ::-1, 0]", "a[::-1, 0]"]
    for source in bad:
        assert axis_reversals(parsed(ffn_tf__volume__box=source)), source
        assert not axis_reversals(parsed(ffn_tf__volume__address=source))
    for source in ("a[::2]", "a[-1]", "a[1::-1]", "'[::-1]'"):
        assert not axis_reversals(parsed(ffn_tf__volume__box=source)), source


def test_code_from_data_is_seen() -> None:
    for source in (
        "eval(x)",
        "import pickle",
        "from pickle import loads",
        "def f():\n    import shelve",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=x)",
        "yaml.load(x)",
    ):
        assert code_from_data(parsed(ffn_tf__volume__box=source)), source
    for source in ("re.compile(x)", "yaml.safe_load(x)", "a.evaluate(x)"):
        assert not code_from_data(parsed(ffn_tf__volume__box=source)), source
    source = "np.load(f, allow_pickle=False)"
    assert not code_from_data(parsed(ffn_tf__volume__box=source))
    pickles = parsed(ffn_tf__inference__pickles="import pickle")
    assert not code_from_data(pickles)


def test_stray_flag_is_seen() -> None:
    for source in ("flags.DEFINE_string('a', '', '')", "DEFINE_bool('a')"):
        assert stray_flags(parsed(ffn_tf__train=source))
        assert stray_flags(parsed(ffn_tf__model__fov=source))
        assert not stray_flags(parsed(ffn_tf__program__options=source))
    source = "program.define_flags(Options)"
    assert stray_flags(parsed(ffn_tf__model__fov=source))
    assert not stray_flags(parsed(ffn_tf__train=source))


def test_unknown_room_is_seen() -> None:
    assert unknown_rooms(parsed(ffn_tf__utils__io="")) == ["ffn_tf.utils"]
    assert unknown_rooms(parsed(ffn_tf__volume__io="", ffn_tf__train="")) == []


# -----------------------------------------------------------------------------
# The rules on the house
# -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house() -> Modules:
    modules = read_modules(ROOT)
    assert "ffn_tf.volume.box" in modules
    return modules


@pytest.mark.parametrize(
    "rule",
    [
        unknown_rooms,
        back_edges,
        cycles,
        axis_reversals,
        code_from_data,
        stray_flags,
    ],
)
def test_the_house_keeps(rule, house: Modules) -> None:
    assert rule(house) == []


def without_tensorflow(house: Modules) -> list[str]:
    return [
        name
        for name in house
        if any(f"{name}.".startswith(f"{w}.") for w in WITHOUT_TENSORFLOW)
    ]


def test_numpy_rooms_do_not_reach_tensorflow(house: Modules) -> None:
    names = without_tensorflow(house)
    assert "ffn_tf.volume.box" in names
    ways = [tensorflow_reached(house, name) for name in names]
    assert [way for way in ways if way] == []


def test_numpy_rooms_really_do_not_load_tensorflow(house: Modules) -> None:
    names = without_tensorflow(house)
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import importlib, sys\n"
            f"for name in {names}: importlib.import_module(name)\n"
            f"loaded = {TENSORFLOW} & set(sys.modules)\n"
            f"assert not loaded, loaded",
        ],
        check=True,
        cwd=ROOT,
    )


def test_no_file_is_too_long() -> None:
    folders = ("ffn_tf", "segclr", "third_party", "benchmarks")
    lines = {
        str(path.relative_to(ROOT)): path.read_bytes().count(b"\n")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {p: n for p, n in lines.items() if n > MAX_LINES} == {}


def test_every_folder_is_a_package() -> None:
    """Without __init__.py a folder is left out of an installed wheel."""
    folders = {
        path.parent
        for package in ("ffn_tf", "segclr")
        for path in (ROOT / package).rglob("*.py")
    }
    missing = [f for f in folders if not (f / "__init__.py").exists()]
    assert missing == []
