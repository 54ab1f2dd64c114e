"""Attempts: what an earlier attempt at a job has left at its output.

    new           nothing; the job begins
    unfinished    a volume that nobody can open yet, of this job; it goes on
    complete      the volume, made by this job; nothing is to be done

and everything else is an error: nothing is overwritten, and nothing is mixed.
What made a volume is in its attributes, what makes one in `job.json` among its
notes (staging.py): "program", "options", and more. The first two tell jobs
apart, as JSON values.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from ffn_tf.volume import staging, store

State = Literal["new", "unfinished", "complete"]


def as_json(value: Any) -> Any:
    """The same as JSON has it: lists, and names for keys."""
    return json.loads(json.dumps(value))


def look(output: str, made_by: dict[str, Any]) -> State:
    """What is at an address, before anything is done.

    Raises:
      FileExistsError: what is there was not made by this job; says how it
        differs.
      ValueError: no volume can be made there.
      OSError: the place cannot be asked.
    """
    unfinished = staging.Unfinished(output)
    if unfinished.final.place.scheme in ("http", "https"):
        raise ValueError(f"{output}: web servers are only read.")
    there: FileExistsError | None = None
    try:
        store.refuse_existing(output)
    except FileExistsError as error:
        there = error
    made = _made_by(output) if there else None
    if made is not None:
        differs = _differences(made, made_by)
        if differs:
            raise FileExistsError(
                f"{output}: exists already, made with other options "
                f"({differs}), and nothing is overwritten; delete it or name "
                f"another output."
            )
        unfinished.forget()  # Killed between the last two steps.
        return "complete"
    record = unfinished.notes.read_json("job.json")
    if record is not None:
        differs = _differences(record, made_by)
        if differs:
            raise FileExistsError(
                f"{output}: an unfinished copy with other options ({differs}) "
                f"is there; give the same to go on with it, or delete "
                f"{unfinished.where} to begin anew."
            )
        return "unfinished"
    if there and not unfinished.is_alone():
        raise there
    return "new"


def _made_by(output: str) -> dict[str, Any] | None:
    """Of a volume that can be opened, and says it."""
    try:
        with store.open(output) as found:
            attributes = found.attributes
    except (ValueError, OSError):
        return None
    return attributes if "options" in attributes else None


def _differences(found: dict[str, Any], asked: dict[str, Any]) -> str:
    """What two jobs do not have in common; "" if they are one."""
    old, new = (
        {"program": made.get("program"), **made.get("options", {})}
        for made in (found, as_json(asked))
    )
    return changes(old, new)


def changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """`name: old, now new` of each entry that differs."""
    return "; ".join(
        f"{name}: {old.get(name)}, now {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )
