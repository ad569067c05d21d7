"""The widget and the figure of the chapter on the auditor: audits of each version of the head, on several batches."""

from functools import cache

import torch

from groot_teach.audit import MaskReport
from groot_teach.audit.heads import audit_action_head
from groot_teach.audit.names import STAGES
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT
from groot_teach.padding import ActionBatch, VLBatch
from groot_teach.shapes import checked
from groot_teach.show.drawing import Picture, width_of, write_on
from groot_teach.show.panels import Number, Panel, Table, one_of

DIMS, STEPS, TOKENS, WIDTH, STATE = 11, 5, 7, 20, 13
VERSIONS = {"N1.5": GROOT_N1_5, "N1.6": GROOT_N1_6, "N1.7": GROOT_N1_7, "PR 741": PR_741, "strict": STRICT}

REAL = {"dims": (11, 4, 7), "steps": (3, 5, 4), "tokens": (7, 3, 5)}
"""How many dims, steps and tokens of the three robots are real, in a batch with all three kinds of padding."""
BATCHES = {
    "ragged": (),
    "robots as wide as the batch": ("dims",),
    "no episode ends": ("steps",),
    "prompts of one length": ("tokens",),
}
"""For each batch the axes along which it has no padding."""
AXES = ("dims", "steps", "tokens")
ROWS = ("action encoder", "DiT self-attention", "VL self-attention", "DiT cross-attention", *STAGES)


@cache
def audit_of(version: str, batch: str) -> MaskReport:
    """The audit of a small head with random weights, under the masking of `version`.

    Raises:
        ValueError: an unknown version or batch.
    """
    masking = one_of("version", version, VERSIONS)
    full = one_of("batch", batch, BATCHES)
    config = HeadConfig(
        padded_dim=DIMS,
        state_dim=STATE,
        token_width=WIDTH,
        width=16,
        heads=2,
        hidden=12,
        layers=4,
        vl_layers=0 if masking.vl_self_attention == "absent" else 1,
        vl_heads=2,
        embodiments=3,
        future_tokens=2 if version == "N1.5" else 0,
        attend_text_every_n_blocks=None if version == "N1.5" else 2,
    )
    head = ActionHead(config, masking, _seeded(0)).double()
    dim_mask, step_mask, token_mask = (
        torch.arange(size) < torch.tensor([size] * 3 if axis in full else REAL[axis])[:, None]
        for axis, size in (("dims", DIMS), ("steps", STEPS), ("tokens", TOKENS))
    )
    token_mask = token_mask.flip(1)  # tokens are padded left
    images = torch.zeros_like(token_mask)
    images[:, 4:6] = True
    observation = Observation(VLBatch(_draw(1, 3, TOKENS, WIDTH), token_mask, images), _draw(2, 3, 1, STATE), _robots())
    actions = ActionBatch(_draw(3, 3, STEPS, DIMS) * dim_mask[:, None], dim_mask, step_mask)
    t = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    return audit_action_head(head, observation, actions, _draw(4, 3, STEPS, DIMS), t)


def what_the_audit_says(version: str, batch: str) -> dict[str, Panel]:
    """How many leaks the audit finds, and its table; empty where there is nothing to look for."""
    report = audit_of(version, batch)
    rows = [[stage, *(report.cell(stage, axis) for axis in AXES)] for stage in ROWS]
    return {
        "leaks by name": Number(len(report.leaks), digits=0),
        "axes with padding": Number(len(report.axes), digits=0),
        "what moves": Table(["stage", *AXES], rows),
    }


def _robots() -> torch.Tensor:
    return torch.tensor([0, 2, 1])


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=_seeded(seed))


@checked
def stage_by_axis(cells: dict[str, dict[str, str]]) -> Picture:
    """What an audit found: a row for each stage, a column for each axis, with the texts of `MaskReport.cell`.

    Orange and hatched: something moved. Blue with a 0: nothing moved. Hollow: no probe could look. No box: there was
    nothing to look for.

    Args:
        cells: for each stage and each axis the text of the report. All stages have the same axes.

    Raises:
        ValueError: no stage, no axis, or stages whose axes differ.
    """
    axes = [*next(iter(cells.values()))] if cells else []
    if not axes or any([*of_stage] != axes for of_stage in cells.values()):
        raise ValueError(f"cells: got {cells}, expected at least one stage, and the same axes for every stage")
    left, width, height = max(map(width_of, cells)) + 12, 96, 30
    picture = Picture(left + width * len(axes) + 4, 26 + height * len(cells) + 4)
    for column, axis in enumerate(axes):
        picture.words(left + width * (column + 0.5), 11, axis, bold=True, anchor="middle")
    for row, (stage, of_stage) in enumerate(cells.items()):
        top = 26 + height * row
        picture.words(left - 12, top + height / 2, stage, anchor="end")
        for column, said in enumerate(of_stage.values()):
            if said:
                kind = "real" if said == "0" else "hidden" if said == "-" or said.endswith("?") else "leak"
                picture.box(left + width * column + 1, top + 1, width - 2, height - 2, kind)
                write_on(picture, left + width * (column + 0.5), top + height / 2, said, kind)
    return picture
