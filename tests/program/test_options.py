"""Dataclasses to flags and back, in a set of flags of the test's own."""

from collections.abc import Mapping
import dataclasses
import shlex
from typing import Any

from absl import flags
import pytest

from ffn_tf import program


@pytest.fixture
def parse(monkeypatch):
    """parse(options, *arguments): the dataclass from a command line."""
    made = flags.FlagValues()

    def run(options, *arguments):
        program.define_flags(options)
        made(["program", *arguments])
        return program.from_flags(options)

    _use(monkeypatch, made)
    return run


def _use(monkeypatch, flag_values):
    """Lets `flags` define and read `flag_values`, not the process' own."""
    monkeypatch.setattr(flags, "FLAGS", flag_values)
    for name in (
        "DEFINE_bool",
        "DEFINE_enum",
        "DEFINE_float",
        "DEFINE_integer",
        "DEFINE_list",
        "DEFINE_string",
        "register_validator",
    ):
        monkeypatch.setattr(
            flags, name, _with_values(getattr(flags, name), flag_values)
        )


def _with_values(function, flag_values):
    def run(*arguments, **named):
        return function(*arguments, flag_values=flag_values, **named)

    return run


@dataclasses.dataclass(frozen=True)
class Options:
    name: str = program.option("em", help="a name")
    count: int = program.option(3, help="how many")
    share: float = program.option(0.5, help="how much")
    is_on: bool = program.option(False, help="whether")
    kind: str = program.option("a", help="which", choices=("a", "b"))
    size_zyx: tuple[int, int, int] = program.option((1, 2, 3), help="size")
    scale: tuple[float, float] = program.option((1.5, 2.0), help="scale")
    names: tuple[str, ...] = program.option((), help="any number")
    ids: tuple[int, ...] = program.option((), help="any number")
    limit: int | None = program.option(None, help="none, or a number")
    box_zyx: tuple[int, int, int] | None = program.option(None, help="box")
    named: Mapping[str, Any] = program.mapping(help="by name")
    inner: str = "not a flag"


def test_defaults_come_from_the_dataclass(parse):
    found = parse(Options)
    assert found == Options()
    assert found.limit is None and found.box_zyx is None


def test_every_type(parse):
    found = parse(
        Options,
        "--name=x,y=z",
        "--count=-7",
        "--share=1e-3",
        "--is_on",
        "--kind=b",
        "--size_zyx=4,5,6",
        "--scale=0.25,8",
        "--names=p,q",
        "--limit=9",
        "--box_zyx=7,8,9",
        '--named={"a": [1, 2], "b": "c,d"}',
    )
    assert found == Options(
        name="x,y=z",
        count=-7,
        share=1e-3,
        is_on=True,
        kind="b",
        size_zyx=(4, 5, 6),
        scale=(0.25, 8.0),
        names=("p", "q"),
        limit=9,
        box_zyx=(7, 8, 9),
        named={"a": [1, 2], "b": "c,d"},
    )
    assert all(isinstance(value, float) for value in found.scale)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(name="it's x y", is_on=True, scale=(0.25, 8.0), limit=0),
        Options(names=("p", "q"), size_zyx=(4, 5, 6), share=-1e-9),
        Options(named={"it's": [1.5, None], "b": {"c": True}}),
    ],
)
def test_command_line_and_back(parse, options):
    line = program.command_line("demo", options)
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "ffn_tf.demo"]
    assert parse(Options, *words[3:]) == options
    assert program.command_line("demo", Options()) == "python -m ffn_tf.demo"


def test_the_flags_that_were_given_and_back(parse):
    given = ["--name=it's x y", "--nois_on", "--size_zyx=4,5,6", "--limit=0"]
    parse(Options, *given)
    line = program.given_line(
        "demo", Options, without=("limit",), also={"kind": "b", "name": "n"}
    )
    assert shlex.split(line)[3:] == ["--kind=b", *given[:-1]]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--count=many", "invalid literal for int"),
        ("--share=half", "could not convert string to float"),
        ("--kind=c", "should be one of <a|b>"),
        ("--size_zyx=1,2", "expected 3 comma-separated int values"),
        ("--size_zyx=1,2,3,4", "expected 3 comma-separated int values"),
        ("--size_zyx=1,2,x", "expected 3 comma-separated int values"),
        ("--scale=1,x", "expected 2 comma-separated float values"),
        ("--ids=1,x", "flag --ids=['1', 'x']: expected comma-separated int"),
        ("--box_zyx=", "expected 3 comma-separated int values"),
        ("--named=[1]", 'expected a JSON object, {"name": value}'),
        ("--named={a: 1}", "expected a JSON object"),
        ("--inner=x", "Unknown command line flag 'inner'"),
    ],
)
def test_bad_values_are_refused_while_parsing(parse, argument, message):
    with pytest.raises(flags.Error) as caught:
        parse(Options, argument)
    assert message in str(caught.value)


def test_a_field_without_default_is_required(parse):
    @dataclasses.dataclass(frozen=True)
    class Required:
        image: str = program.option(help="address")

    assert parse(Required, "--image=em.h5:raw") == Required("em.h5:raw")


@pytest.mark.parametrize("annotation", [str, tuple[int, int, int]])
def test_a_required_flag_that_is_missing(parse, annotation):
    required = dataclasses.make_dataclass(
        "Required", [("image", annotation, program.option(help="address"))]
    )
    with pytest.raises(flags.IllegalFlagValueError, match="is required: addr"):
        parse(required)


def test_a_type_that_no_flag_is_made_of(parse):
    unknown = dataclasses.make_dataclass(
        "Unknown", [("table", dict, program.option({}.copy, help="no"))]
    )
    with pytest.raises(TypeError, match="table: no flag is made of type"):
        parse(unknown)


def test_the_help_is_the_flags(parse):
    parse(Options)
    assert flags.FLAGS["size_zyx"].help == "size"
    assert "which" in flags.FLAGS["kind"].help
