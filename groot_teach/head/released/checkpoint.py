"""The tensors of the action head out of a checkpoint.

A fine-tuned checkpoint also holds the backbone, the vision-language model before the head, which is gigabytes. Only the
tensors of the head are read from the safetensors files; the rest stays on the disk.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from groot_teach.extras import needed_for
from groot_teach.head.released.lora import ADAPTER, ADAPTER_CONFIG, without_adapters
from groot_teach.head.released.names import listed
from groot_teach.on_disk import no_folder, stand_in, stays_inside
from groot_teach.shapes import checked

WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""What `torch.compile`, data parallel training and checkpointed layers put into the names of tensors, wherever the
wrapped module stands."""


@checked
def read_action_head(path: str | Path) -> dict[str, Tensor]:
    """The tensors of the action head in a checkpoint, and no others: upstream's name -> tensor, on the CPU.

    Names may begin with anything that ends in `action_head.`, as in `_groot_model.action_head.vlln.weight`; a file that
    holds the head alone needs no such beginning. Words that wrappers put into names are left out. LoRA adapters are
    added to their layers, if a file `adapter_config.json` says with what weight.

    Args:
        path: a safetensors file; or a folder with such files; or the folder of a training run of LeRobot, whose last
            checkpoint is then read.

    Raises:
        FileNotFoundError: there is no such file, or no safetensors file in the folder; or one of several shards is
            missing.
        ImportError: the package safetensors is not installed, which the extra `checkpoints` brings.
        ValueError: a damaged file; no tensor of an action head, or tensors of several heads; adapters that cannot be
            added; or weights that are not floats.
    """
    path = checkpoint_folder(Path(path))
    weights, adapter = _read_heads(_shards(path)), {}
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (folder / ADAPTER).is_file():
        adapter = _read_heads([folder / ADAPTER], may_have_none=True)  # it may be for the backbone alone
    settings = read_json(folder / ADAPTER_CONFIG) if (folder / ADAPTER_CONFIG).is_file() else None
    weights = without_adapters(weights, adapter, settings)
    strange = [f"{name} {str(tensor.dtype).removeprefix('torch.')}" for name, tensor in weights.items() if _odd(tensor)]
    if strange:
        raise ValueError(
            f"path: got weights that are not floats of 16 bits or more in {path}: {listed(strange)}; expected weights "
            "that are not quantised"
        )
    return weights


def checkpoint_folder(path: Path) -> Path:
    """The folder that holds the weights, if `path` is that of a training run; otherwise `path` as it is.

    Raises:
        FileNotFoundError: there is neither a file nor a folder; or no weights in it.
    """
    if path.is_file():
        return path
    if (other := no_folder(path, "model")) is not None:
        raise FileNotFoundError(f"path: got {other[0]}, expected {other[1]}, or a file")
    for below in (".", "pretrained_model", "last/pretrained_model", "checkpoints/last/pretrained_model"):
        if any(file.is_file() for file in (path / below).glob("*.safetensors*")):
            return path / below
    others = sorted({file.parent.relative_to(path).as_posix() for file in path.glob("**/model*.safetensors")})
    if others:
        raise FileNotFoundError(f"path: got no safetensors file in {path} itself, expected one of its {listed(others)}")
    pickled = sorted(file.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(kind))
    hint = f"; there is {listed(pickled)}: save the weights as safetensors" if pickled else ""
    raise FileNotFoundError(f"path: got no safetensors file in {path}, expected at least one{hint}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        ValueError: it does not, or it is a stand-in for another file.
    """
    if (other := stand_in(path)) is not None:
        raise ValueError(f"{path.name}: got {other[0]}, expected {other[1]}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: got {error}, expected JSON") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name}: got {value!r:.60}, expected a JSON object")
    return value


def name_in_head(key: str) -> tuple[str | None, str]:
    """What stands before `action_head.` in a tensor's name, or None without that word, and what stands behind it."""
    parts = [part for part in key.split(".") if part not in WRAPPERS]
    while parts[:2] == ["base_model", "model"]:  # peft's, around the whole model
        parts = parts[2:]
    places = [place for place, part in enumerate(parts[:-1]) if part == "action_head"]
    if not places:
        return None, ".".join(parts)
    return ".".join(parts[: places[-1]]), ".".join(parts[places[-1] + 1 :])


def _read_heads(files: list[Path], *, may_have_none: bool = False) -> dict[str, Tensor]:
    """The tensors of the only head in these files, by the names they have in it."""
    where: dict[str | None, dict[str, tuple[Path, str]]] = {}
    others = set()
    for file in files:
        with _opened(file) as shard:
            for key in shard.keys():  # noqa: SIM118  (a shard is not a mapping)
                prefix, name = name_in_head(key)
                head = where.setdefault(prefix, {})
                if name in head and prefix is not None:
                    raise ValueError(
                        f"path: got the tensor {name} of the action head twice: as {head[name][1]} in "
                        f"{head[name][0].name} and as {key} in {file.name}, expected it once"
                    )
                head[name] = (file, key)
                others.add(key.split(".")[0])
    alone = where.pop(None, {})
    if not where and "action_encoder.W1.W" in alone:
        where[None] = alone
    if not where and may_have_none:
        return {}
    if not where:
        raise ValueError(
            f"path: got no tensor named '...action_head...' in {listed([file.name for file in files])}, only parts of "
            f"{listed(sorted(others))}"
        )
    if len(where) > 1:
        begin = listed(sorted(f"{prefix}." for prefix in where if prefix is not None))
        raise ValueError(f"path: got several action heads, with names that begin with {begin}, expected one")
    (head,) = where.values()
    weights = {}
    for file in dict.fromkeys(file for file, _ in head.values()):
        with _opened(file) as shard:
            weights |= {name: shard.get_tensor(key) for name, (own, key) in head.items() if own == file}
    return weights


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The tensors of a safetensors file; whatever is wrong with the file is a ValueError that names it."""
    with needed_for("reading a checkpoint"):
        from safetensors import SafetensorError, safe_open
    if (other := stand_in(file)) is not None:
        raise ValueError(f"path: {file.name}: got {other[0]}, expected {other[1]}")
    with file.open("rb") as opened:
        is_pickled = opened.read(2) in (b"PK", b"\x80\x02")
    if is_pickled:
        raise ValueError(f"path: {file.name}: got a file of torch.save, expected safetensors; save the weights as that")
    try:
        with safe_open(file, framework="pt", device="cpu") as shard:
            yield shard
    except SafetensorError as error:
        raise ValueError(
            f"path: {file.name}: got {error}; expected a whole safetensors file, and this one is incomplete or no "
            "safetensors file at all: copy or download it again"
        ) from error


def _shards(path: Path) -> list[Path]:
    """The files that hold tensors of the head, as far as an index tells; otherwise all files of the model."""
    if path.is_file():
        return [path]
    indices = sorted(file for file in path.glob("*.safetensors.index.json") if file.is_file())
    if indices:
        return _shards_of_index(path, indices[0])
    files = sorted(file for file in path.glob("*.safetensors") if file.name != ADAPTER and file.is_file())
    if not files:
        raise FileNotFoundError(
            f"path: got only the adapter {ADAPTER} in {path}, expected the model that it belongs to: merge the two "
            "first, with peft's merge_and_unload, or put both into one folder"
        )
    model = path / "model.safetensors"
    if model in files:
        return [model]
    for file in files:
        if numbers := re.fullmatch(r"(.+)-(\d+)-of-(\d+)\.safetensors", file.name):
            stem, _, count = numbers.groups()
            wanted = [path / f"{stem}-{n:0{len(count)}d}-of-{count}.safetensors" for n in range(1, int(count) + 1)]
            if missing := [one.name for one in wanted if not one.is_file()]:
                raise FileNotFoundError(f"path: got no {listed(missing)} in {path}, expected all {int(count)} shards")
            return wanted
    return files


def _shards_of_index(path: Path, index: Path) -> list[Path]:
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise ValueError(f"path: {index.name}: weight_map: got {files!r:.60}, expected tensor -> file, for each tensor")
    if outside := sorted(file for file in files.values() if not stays_inside(file)):
        raise ValueError(f"path: {index.name}: weight_map: got {outside[0]!r:.60}, expected a file in the same folder")
    shards = sorted({path / file for key, file in files.items() if name_in_head(key)[0] is not None})
    for shard in shards:
        if not shard.is_file():
            raise FileNotFoundError(f"path: {index.name} names {shard.name}, and {path} has no such file")
    return shards or [path / file for file in sorted(set(files.values()))]


def _odd(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or tensor.element_size() < 2
