"""Spoils small dataset folders and checkpoints in random ways, and looks at what the readers make of them.

    python -m benchmarks.fuzz_files folders --cases 2000
    python -m benchmarks.fuzz_files checkpoints --cases 2000

Each case has a seed. Its outcome is one of

    read     the right numbers came out, or those of a file whose numbers were changed
    named    an error of the library, which names what is wrong
    wrong    other numbers than were written
    escaped  an error of another kind, or one that names nothing

The command ends with 1 if there are wrong or escaped cases, and prints their seeds; `--only SEED` runs one of them
again and shows its traceback. What was found this way is kept as tests in `tests/recordings` and `tests/head`.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from groot_teach.extras import progress_bar
from groot_teach.head import ActionHead, HeadConfig
from groot_teach.head.released import load_upstream, read_checkpoint, to_upstream
from groot_teach.masks import GROOT_N1_7
from groot_teach.recordings import DatasetError, open_dataset, read_episode
from groot_teach.recordings.check import check_dataset

LIMIT = 20
"""Seconds after which a case counts as hanging. A sound one takes a few hundredths."""

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 140159\n"
STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "x", "../x", "/etc/passwd", "\u0000", "a" * 5000, "0", "{episode_index:c}", [], [0], [[1]], ["x"], {}, {"x": 1},
]  # fmt: skip


# --------------------------------------------------------------------------------------------------- sound folders

LENGTHS = (4, 6, 3)
DIMS = 3


def action(episode: int, step: int, dim: int) -> float:
    return 100 * episode + 10 * step + dim + 0.5


def sound_folder(folder: Path, version: str) -> None:
    is_v3 = version == "v3.0"
    places = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet" if is_v3 else (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    )  # fmt: skip
    info = {
        "codebase_version": version, "robot_type": "toy", "fps": 10, "chunks_size": 2, "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS), "data_path": places,
        "features": {
            "action": {"dtype": "float32", "shape": [DIMS], "names": ["a", "b", "c"]},
            "observation.state": {"dtype": "float32", "shape": [DIMS], "names": None},
        },
    }  # fmt: skip
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    groups = {"arm": {"start": 0, "end": 2}, "hand": {"start": 2, "end": 3, "original_key": "action"}}
    (folder / "meta/modality.json").write_text(json.dumps({"action": groups}))
    stats = {"action": {"min": [0.5, 1.5, 2.5], "max": [220.5, 221.5, 222.5]}}
    (folder / "meta/stats.json").write_text(json.dumps(stats))
    firsts = [sum(LENGTHS[:n]) for n in range(len(LENGTHS))]
    tables = [_frames(n, length, firsts[n]) for n, length in enumerate(LENGTHS)]
    if is_v3:
        _write(folder / "data/chunk-000/file-000.parquet", pa.concat_tables(tables[:2]))
        _write(folder / "data/chunk-000/file-001.parquet", tables[2])
        listed = {
            "episode_index": [0, 1, 2], "length": LENGTHS, "tasks": [["stack"]] * 3, "data/chunk_index": [0, 0, 0],
            "data/file_index": [0, 0, 1], "dataset_from_index": firsts,
            "dataset_to_index": [first + length for first, length in zip(firsts, LENGTHS, strict=True)],
        }  # fmt: skip
        _write(folder / "meta/episodes/chunk-000/file-000.parquet", pa.table(listed))
        _write(folder / "meta/tasks.parquet", pa.table({"task_index": [0, 1], "task": ["stack", "pour"]}))
        return
    for n, table in enumerate(tables):
        _write(folder / f"data/chunk-{n // 2:03d}/episode_{n:06d}.parquet", table)
    rows = [{"episode_index": n, "tasks": ["stack"], "length": length} for n, length in enumerate(LENGTHS)]
    (folder / "meta/episodes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "stack"}\n{"task_index": 1, "task": "pour"}\n')


def _frames(episode: int, length: int, first: int) -> pa.Table:
    steps = range(length)
    return pa.table(
        {
            "action": pa.array([[action(episode, s, d) for d in range(DIMS)] for s in steps], pa.list_(pa.float32())),
            "timestamp": [s / 10 for s in steps],
            "frame_index": list(steps),
            "episode_index": [episode] * length,
            "index": [first + s for s in steps],
            "task_index": [0] * length,
        }
    )


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


# ------------------------------------------------------------------------------------------------------- mutations


def spoil_bytes(path: Path, files: list[Path], draw: random.Random) -> str:
    """Something that copying, downloading or a disk can do to a file."""
    whole = path.read_bytes()
    what = draw.choice(["cut", "flip", "empty", "pointer", "swap", "noise", "page", "double", "delete", "folder"])
    if what == "swap":
        other = draw.choice(files)
        path.write_bytes(other.read_bytes())
        other.write_bytes(whole)
    elif what in ("delete", "folder"):
        path.unlink()
        if what == "folder":
            path.mkdir()
    else:
        flipped = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            flipped[draw.randrange(len(whole))] ^= draw.randint(1, 255)
        path.write_bytes(
            {
                "cut": whole[: draw.randrange(len(whole))],
                "flip": bytes(flipped),
                "empty": b"",
                "pointer": POINTER,
                "noise": draw.randbytes(200),
                "page": b"<!DOCTYPE html><html>404</html>",
                "double": whole + whole,
            }[what]
        )
    return f"{what} {path.name}"


def spoil_value(value: Any, draw: random.Random) -> Any:
    """The same JSON value with one thing in it changed, dropped, added or renamed."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        value, key = dict(value), draw.choice(list(value))
        what = draw.choice(["in", "in", "in", "drop", "rename", "add"])
        if what == "in":
            value[key] = spoil_value(value[key], draw)
        elif what == "add":
            value[draw.choice(["action", "x", "original_key", "names"])] = draw.choice(STRANGE)
        else:
            entry = value.pop(key)
            value |= {draw.choice(["x", f"{key}s", key.upper(), ""]): entry} if what == "rename" else {}
        return value
    if isinstance(value, list) and value and draw.random() < 0.7:
        place = draw.randrange(len(value))
        return [*value[:place], spoil_value(value[place], draw), *value[place + 1 :]]
    return draw.choice(STRANGE)


def spoil_json(path: Path, draw: random.Random) -> str:
    lines = path.read_text().splitlines()
    place = draw.randrange(len(lines))
    lines[place] = json.dumps(spoil_value(json.loads(lines[place]), draw))
    if draw.random() < 0.1:
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(["", "{", "null", lines[place]]))
    path.write_text("\n".join(lines) + "\n")
    return f"{path.name} becomes {lines[place][:200]}"


def spoil_table(path: Path, draw: random.Random) -> str:
    """A column or the rows of a parquet file are changed."""
    table = pq.read_table(path)
    name = draw.choice(table.column_names)
    place, column = table.column_names.index(name), table[name]
    what = draw.choice(["drop", "rename", "twice", "strings", "nulls", "floats", "rows", "order", "none", "strange"])
    if what == "drop":
        table = table.drop_columns([name])
    elif what == "rename":
        new = [draw.choice(["x", f"{name}s", "action"]) if other == name else other for other in table.column_names]
        table = table.rename_columns(new)
    elif what == "twice":
        table = table.append_column(name, column)
    elif what in ("rows", "order"):
        rows = [draw.randrange(len(table)) for _ in range(draw.randint(1, 2 * len(table)))]
        table = table.take(pa.array(rows)) if what == "rows" else table.slice(1)
    elif what == "none":
        table = table.slice(0, 0)
    else:
        values = column.to_pylist()
        values[draw.randrange(len(values))] = None
        numbers = [draw.choice([-1, 0, 2**40, 5]) for _ in values]
        strange = [float("nan"), [1.0], [[1.0]], float("inf")]
        changed = {
            "strings": [str(value) for value in values],
            "nulls": values,
            "floats": [float(number) for number in numbers],
            "strange": [draw.choice(strange)] * len(values) if draw.random() < 0.5 else numbers,
        }[what]
        table = table.set_column(place, name, pa.array(changed))
    pq.write_table(table, path)
    return f"{what} {name} in {path.name}"


# ---------------------------------------------------------------------------------------------------------- cases


def folder_case(seed: int, root: Path) -> tuple[str, str]:
    """Spoils a folder once or twice, and reads all of it. Returns the outcome, and what was done."""
    draw = random.Random(seed)
    folder = root / "data set"
    sound_folder(folder, draw.choice(["v2.0", "v2.1", "v3.0"]))
    done, numbers_changed = [], False
    for _ in range(draw.choice([1, 1, 1, 2])):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = draw.choice(files)
        try:
            how = draw.random()
            if path.suffix in (".json", ".jsonl") and how < 0.8:
                done.append(spoil_json(path, draw))
            elif path.suffix == ".parquet" and how < 0.7:
                done.append(spoil_table(path, draw))
            else:
                done.append(spoil_bytes(path, files, draw))
        except (ValueError, TypeError, OSError, pa.ArrowException):
            continue  # it was spoilt beyond this already
        # Changed frames, columns and groups give other numbers, and rightly so.
        numbers_changed |= "data/" in path.as_posix() or path.name in ("info.json", "modality.json")
    said, outcome = " and ".join(done), "named"
    for index in range(len(LENGTHS)):
        try:
            dataset = open_dataset(folder)
            episode = read_episode(dataset, index)
        except DatasetError as error:
            if not (error.file and error.field and "expected" in str(error)):
                raise
            continue
        outcome = "read"
        truth = [[action(index, step, dim) for dim in range(DIMS)] for step in range(LENGTHS[index])]
        if not numbers_changed and episode.actions.tolist() != truth:
            return "wrong", f"{said}: episode {index} is read as {episode.actions.tolist()}"
    try:
        report = check_dataset(folder)
        report.to_json().encode()
        str(report).encode()
    except FileNotFoundError:
        pass
    return outcome, said


SIZES = {
    "padded_dim": 5, "state_dim": 6, "token_width": 64, "width": 48, "heads": 1, "hidden": 8, "layers": 2,
    "vl_layers": 1, "vl_heads": 1, "embodiments": 2, "max_steps": 8, "attend_text_every_n_blocks": 2,
}  # fmt: skip
CONFIG = {
    "model_type": "Gr00tN1d7", "max_action_dim": 5, "max_state_dim": 6, "backbone_embedding_dim": 64,
    "input_embedding_dim": 48, "hidden_size": 8, "max_num_embodiments": 2, "max_seq_len": 8, "action_horizon": 4,
    "diffusion_model_cfg": {
        "num_attention_heads": 1, "attention_head_dim": 48, "num_layers": 2, "output_dim": 8, "dropout": 0.2,
        "interleave_self_attention": True, "positional_embeddings": None, "norm_type": "ada_norm",
    },
    "vl_self_attention_cfg": {
        "num_attention_heads": 1, "attention_head_dim": 64, "num_layers": 1, "positional_embeddings": None,
    },
}  # fmt: skip


def sound_weights() -> dict[str, torch.Tensor]:
    head = ActionHead(HeadConfig(**SIZES), GROOT_N1_7, torch.Generator().manual_seed(0))
    return {f"action_head.{name}": tensor.contiguous() for name, tensor in to_upstream(head).items()}


def spoil_weights(weights: dict[str, torch.Tensor], draw: random.Random) -> str:
    """One tensor is renamed, retyped, reshaped, dropped or doubled, in place. Returns what was done."""
    name = draw.choice(sorted(weights))
    what = draw.choice(["drop", "rename", "nan", "retype", "reshape", "twice", "wrap", "lora", "prefix", "strange"])
    tensor = weights.pop(name)
    weights[name] = tensor
    if what == "drop":
        del weights[name]
    elif what == "rename":
        weights[draw.choice(["x", f"{name}x", name.replace("action_head.", ""), "action_head."])] = weights.pop(name)
    elif what == "nan":
        weights[name] = torch.full_like(tensor, draw.choice([float("nan"), float("inf")]))
    elif what == "retype":
        kinds = [torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.float16, torch.int64]
        weights[name] = tensor.to(draw.choice(kinds))
    elif what == "reshape":
        weights[name] = draw.choice([tensor.flatten(), tensor[:1].clone(), tensor[None].clone(), torch.zeros(0)])
    elif what == "twice":
        weights[f"module.{name}"] = tensor.clone()
    elif what == "lora":
        stem = name.rsplit(".", 1)[0]
        weights[f"{stem}.lora_{draw.choice('ABC')}.weight"] = torch.ones(2, 2)
    elif what == "strange":
        weights[draw.choice(["action_head.mask_token", "action_head.future_tokens.weight"])] = torch.ones(1, 1, 48)
    else:
        word = "_orig_mod." if what == "wrap" else "student."
        changed = {other.replace("action_head.", f"action_head.{word}"): weights[other] for other in weights}
        if what == "prefix":
            changed = {f"{word}{other}": weights[other] for other in weights}
        weights.clear()
        weights |= changed
    return f"{what} {name}"


def checkpoint_case(seed: int, root: Path) -> tuple[str, str]:
    """Spoils a checkpoint, and reads it into a head. Returns the outcome, and what was done."""
    draw = random.Random(seed)
    weights, said, same = sound_weights(), [], True
    folder = root / draw.choice(["model", "run/checkpoints/last/pretrained_model"])
    folder.mkdir(parents=True)
    config = dict(CONFIG)
    how = draw.choice(["weights", "weights", "config", "bytes", "index"])
    if how == "weights":
        said.append(spoil_weights(weights, draw))
        same = said[0].split()[0] in ("wrap", "prefix", "twice")
    if how == "config":
        config = spoil_value(config, draw)
        said.append(f"config {json.dumps(config)[:300]}")
    names = sorted(weights)
    if how == "index" or draw.random() < 0.2:
        half = len(names) // 2
        parts = {"model-00001-of-00002.safetensors": names[:half], "model-00002-of-00002.safetensors": names[half:]}
        for file, part in parts.items():
            save_file({name: weights[name].contiguous().clone() for name in part}, folder / file)
        index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
        if how == "index":
            index = spoil_value(index, draw)
            said.append(f"index {json.dumps(index)[:300]}")
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    if how == "bytes":
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        said.append(spoil_bytes(draw.choice(files), files, draw))
        same = False
    try:
        found = read_checkpoint(root / folder.relative_to(root).parts[0])
        head = ActionHead(found.config, found.masking, torch.Generator())
        load_upstream(head, {name: tensor.to(torch.float32) for name, tensor in found.weights.items()})
    except (ValueError, FileNotFoundError) as error:
        if ": got" not in str(error) and "path: " not in str(error) and "weights: " not in str(error):
            raise
        return "named", " and ".join(said)
    truth = sound_weights()
    if same and any(not torch.equal(tensor, truth[f"action_head.{n}"]) for n, tensor in to_upstream(head).items()):
        return "wrong", " and ".join(said)
    return "read", " and ".join(said)


CASES: dict[str, Callable[[int, Path], tuple[str, str]]] = {"folders": folder_case, "checkpoints": checkpoint_case}


class Hangs(BaseException):
    """A case that takes longer than `LIMIT`."""


@contextmanager
def limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Hangs

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)


def outcome_of(kind: str, seed: int) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as root, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with limited():
                return CASES[kind](seed, Path(root))
        except (Exception, Hangs) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name} {frame.lineno}"
            return "escaped", f"{type(error).__name__} in {place}: {' '.join(str(error).split())[:300]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=CASES, help="what to spoil")
    parser.add_argument("--cases", type=int, default=2000, metavar="N", help="how many (2000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first case (0)")
    parser.add_argument("--only", type=int, metavar="SEED", help="run this one case, and show its traceback")
    options = parser.parse_args()
    if options.only is not None:
        with tempfile.TemporaryDirectory() as root:
            print(*CASES[options.kind](options.only, Path(root)))
        return 0
    counts: Counter[str] = Counter()
    bad, began = [], time.perf_counter()
    seeds = range(options.seed, options.seed + options.cases)
    for seed in partial(progress_bar, unit="case", desc=options.kind)(seeds):
        outcome, said = outcome_of(options.kind, seed)
        counts[outcome] += 1
        if outcome in ("wrong", "escaped"):
            bad.append(f"{outcome} seed {seed}: {said}")
    print(f"{options.cases} {options.kind} in {time.perf_counter() - began:.0f} s: {dict(counts)}")
    print(*bad, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
