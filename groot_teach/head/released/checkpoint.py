"""The tensors of the action head out of a checkpoint.

A fine-tuned checkpoint also holds the backbone, the vision-language model before the head, which is gigabytes. Only the
tensors of the head are read from the safetensors files; the rest stays on the disk.
"""

import json
from pathlib import Path

from torch import Tensor

from groot_teach.extras import needed_for
from groot_teach.head.released.names import listed
from groot_teach.shapes import checked


@checked
def read_action_head(path: str | Path) -> dict[str, Tensor]:
    """The tensors of the action head in a checkpoint, and no others: upstream's name -> tensor, on the CPU.

    Args:
        path: a safetensors file, one shard of a checkpoint, or a folder with such files. Names may begin with anything
            that ends in `action_head.`, as in `_groot_model.action_head.vlln.weight`.

    Raises:
        FileNotFoundError: there is no such file, or no safetensors file in the folder; or the folder's index names a
            file that is not there.
        ImportError: the package safetensors is not installed, which the extra `checkpoints` brings.
        ValueError: no tensor of an action head, or tensors of several heads.
    """
    with needed_for("reading a checkpoint"):
        from safetensors import safe_open
    weights, prefixes, others = {}, set(), set()
    for file in _shards(Path(path)):
        with safe_open(file, framework="pt", device="cpu") as shard:
            for key in shard.keys():  # noqa: SIM118  (a shard is not a mapping)
                prefix, dot, name = key.rpartition("action_head.")
                if dot:
                    prefixes.add(prefix)
                    weights[name] = shard.get_tensor(key)
                else:
                    others.add(key.split(".")[0])
    if not weights:
        raise ValueError(
            f"path: got no tensor named '...action_head...' in {path}, only parts of {listed(sorted(others))}"
        )
    if len(prefixes) > 1:
        raise ValueError(
            f"path: got several action heads in {path}, with names that begin with {listed(sorted(prefixes))}, "
            "expected one"
        )
    return weights


def _shards(path: Path) -> list[Path]:
    """The files that hold tensors of the head, as far as an index tells; otherwise all files."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"path: got {path}, expected a file or a folder; there is neither")
    indices = sorted(path.glob("*.safetensors.index.json"))
    if not indices:
        files = sorted(path.glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"path: got no safetensors file in {path}, expected at least one")
        return files
    files = json.loads(indices[0].read_text())["weight_map"]
    shards = sorted({path / file for key, file in files.items() if "action_head." in key})
    for shard in shards:
        if not shard.is_file():
            raise FileNotFoundError(f"path: {indices[0].name} names {shard.name}, and {path} has no such file")
    return shards or [path / file for file in sorted(set(files.values()))]
