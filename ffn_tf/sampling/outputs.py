"""(5) Outputs: files that are complete together, and what they were made of.

    --output=PATH@3     PATH-00000-of-00003, ...-00001-..., ...-00002-...
                        PATH.json     the program, its options, its inputs

They appear when all are written. Made of the same, they are not made again; of
something else, they are not overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

from ffn_tf import program
from ffn_tf.sampling import records
from ffn_tf.volume import files


class Output:
    """The files of one flag.

    Args:
      output: PATH, or PATH@N.
      flag: its name, for messages.

    Attributes:
      paths: of the files.
      described: of the description beside them.

    Raises:
      ValueError: N is no number above 0; or a place that is not here.
    """

    def __init__(self, output: str, flag: str) -> None:
        files.local(output, flag)
        names = records.shards(output)
        self.paths = tuple(map(pathlib.Path, names))
        base = output if names == [output] else output.rpartition("@")[0]
        self.described = pathlib.Path(f"{base}.json")

    def is_done(self, record: Mapping[str, Any]) -> bool:
        """Whether all files are there, made of the same.

        Args:
          record: what they are made of; JSON values.

        Raises:
          FileExistsError: some are there, made of something else.
        """
        there = [path for path in self.paths if path.exists()]
        try:
            found = json.loads(self.described.read_text())
            found.pop("code")
        except (OSError, ValueError, AttributeError, KeyError):
            found = None
        same = found == json.loads(json.dumps(record))
        if same and len(there) == len(self.paths):
            return True
        if there and not same:
            raise FileExistsError(
                f"{there[0]}: exists already, not made of these options and "
                f"inputs (see {self.described}); delete it or name another "
                f"output."
            )
        return False

    @contextlib.contextmanager
    def written(
        self, record: Mapping[str, Any]
    ) -> Iterator[list[pathlib.Path]]:
        """Paths to write; what is there in the end becomes the output.

        Args:
          record: as of `is_done`.
        """
        folder = self.paths[0].parent
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f".tmp-{self.paths[0].name}-"
        for path in folder.iterdir():  # Of killed processes.
            if path.name.startswith(prefix):
                shutil.rmtree(path, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as root:
            ready = [pathlib.Path(root) / path.name for path in self.paths]
            yield ready
            for path in ready:
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
            # Before the files: they are complete only with all of it.
            told = {**record, "code": program.describe_code()}
            files.write_text(self.described, json.dumps(told, indent=1))
            for path, final in zip(ready, self.paths):
                os.replace(path, final)
