"""Where padding is made: robots of different widths and prompts of different lengths become one rectangular batch.

Three axes are padded, and each gets a bool mask in which True means *real*:

    axis     why it is ragged                      what fills it        mask
    dims     robots have 6, 16 or 26 actions       zeros                dim_mask    batch, padded_dim
    steps    the episode ends inside the chunk     copies, or zeros     step_mask   batch, action_horizon
    tokens   prompts differ, a camera is absent    zeros                backbone_attention_mask   batch, key_len

`action_mask` is born here too, out of the first two. GR00T's versions disagree about how, so there are two functions.

Nothing here cuts: what does not fit is an error that says by how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.shapes import checked


@checked
@dataclass(frozen=True, eq=False)
class ActionChunk:
    """A piece of one robot's episode, filled up to `action_horizon` steps.

    Attributes:
        actions: `action_horizon, action_dim`.
        action_is_pad: `action_horizon`, bool, LeRobot's polarity: **True = padding**.
        task: what the robot was told to do, or an empty string.
    """

    actions: Float[Tensor, "action_horizon action_dim"]
    action_is_pad: Bool[Tensor, " action_horizon"]
    task: str = ""


@checked
@dataclass(frozen=True, eq=False)
class ActionBatch:
    """Chunks of several robots in one tensor, and what is real in it.

    Attributes:
        actions: `batch, action_horizon, padded_dim`; zeros in padded dims.
        dim_mask: `batch, padded_dim`, bool, True = this robot has this dim.
        step_mask: `batch, action_horizon`, bool, True = this step was recorded, False = it was filled in.
    """

    actions: Float[Tensor, "batch action_horizon padded_dim"]
    dim_mask: Bool[Tensor, "batch padded_dim"]
    step_mask: Bool[Tensor, "batch action_horizon"]


@checked
@dataclass(frozen=True, eq=False)
class VLTokens:
    """The vision-language tokens of one sample, before padding: cameras first, then text.

    Attributes:
        tokens: `token, width`.
        image_mask: `token`, bool, True = a token of a camera, present or not.
        real_mask: `token`, bool, True = there is something to read; False = a seat kept for an absent camera.
    """

    tokens: Float[Tensor, "token width"]
    image_mask: Bool[Tensor, " token"]
    real_mask: Bool[Tensor, " token"]


@checked
@dataclass(frozen=True, eq=False)
class VLBatch:
    """Vision-language tokens of several samples in one tensor, and what is real in it.

    Attributes:
        tokens: `batch, key_len, width`; zeros where padded.
        backbone_attention_mask: `batch, key_len`, bool, True = a real token (the note's `vl_attention_mask`).
        image_mask: `batch, key_len`, bool, True = a token of a camera. An absent camera's seats are True here and False
            in `backbone_attention_mask`, so whoever reads images must use both.
    """

    tokens: Float[Tensor, "batch key_len width"]
    backbone_attention_mask: Bool[Tensor, "batch key_len"]
    image_mask: Bool[Tensor, "batch key_len"]


@checked
def pad_dims(actions: Float[Tensor, "*batch action_dim"], padded_dim: int) -> Float[Tensor, "*batch padded_dim"]:
    """Appends zeros to the last axis until it is `padded_dim` wide.

    Raises:
        ValueError: `actions` has no dim, or more than `padded_dim`.

    Source: huggingface/lerobot v0.4.4, `src/lerobot/policies/groot/processor_groot.py` 350-352. We differ: upstream
    cuts wider actions down to `max_action_dim` without a word, so a 40-dim robot loses 8 joints; we raise.
    """
    action_dim = actions.shape[-1]
    _fits("actions", action_dim, padded_dim)
    return torch.nn.functional.pad(actions, (0, padded_dim - action_dim))


@checked
def pad_steps_with_copies(actions: Float[Tensor, "step action_dim"], action_horizon: int) -> ActionChunk:
    """Repeats the last step until the chunk is `action_horizon` long, as LeRobot and GR00T N1.5 do.

    Raises:
        ValueError: no step at all, or more than `action_horizon`.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 337-342. We differ: upstream cuts longer chunks, we raise.
    """
    missing = _missing_steps(actions, action_horizon)
    copies = actions[-1:].expand(missing, -1)
    return ActionChunk(torch.cat([actions, copies]), _is_pad(actions, missing))


@checked
def pad_steps_with_zeros(actions: Float[Tensor, "step action_dim"], action_horizon: int) -> ActionChunk:
    """Appends zero steps until the chunk is `action_horizon` long, as GR00T N1.6 and N1.7 do.

    Raises:
        ValueError: no step at all, or more than `action_horizon`.

    Source: huggingface/lerobot at 7427f318, `processor_groot.py` 1933-1942; NVIDIA/Isaac-GR00T at 4e62473d,
    `processing_gr00t_n1d6.py` 322-332.
    """
    missing = _missing_steps(actions, action_horizon)
    zeros = actions.new_zeros(missing, actions.shape[1])
    return ActionChunk(torch.cat([actions, zeros]), _is_pad(actions, missing))


@checked
def collate_chunks(chunks: Sequence, padded_dim: int) -> ActionBatch:
    """Stacks the chunks of several robots, each padded to `padded_dim`, and remembers what is real.

    Args:
        chunks: one `ActionChunk` a robot, all with the same number of steps and the same dtype. Dims may differ.
        padded_dim: how many dims the batch has.

    Raises:
        TypeError: an entry of `chunks` that is no `ActionChunk`.
        ValueError: no chunk, chunks of different lengths, dtypes or devices, or a chunk that has no dim or too many.
    """
    _all_of_kind("chunks", chunks, ActionChunk)
    _all_alike("chunks", [chunk.actions for chunk in chunks], {"steps": lambda actions: actions.shape[0]})
    for index, chunk in enumerate(chunks):
        _fits(f"chunks[{index}]", chunk.actions.shape[1], padded_dim)
    widths = torch.tensor([chunk.actions.shape[1] for chunk in chunks])
    dim_mask = torch.arange(padded_dim) < widths[:, None]
    return ActionBatch(
        actions=torch.stack([pad_dims(chunk.actions, padded_dim) for chunk in chunks]),
        dim_mask=dim_mask.to(chunks[0].actions.device),
        step_mask=~torch.stack([chunk.action_is_pad for chunk in chunks]),
    )


@checked
def action_mask_dims_only(
    dim_mask: Bool[Tensor, "batch padded_dim"], action_horizon: int
) -> Bool[Tensor, "batch action_horizon padded_dim"]:
    """GR00T N1.5's `action_mask`: True in every step of a real dim, **copied steps included**.

    Raises:
        ValueError: `action_horizon` is less than 1.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 353-354 (`action_mask[:, :, :d] = True`), and
    NVIDIA/Isaac-GR00T at 4af2b622, `gr00t/model/transforms.py` 295-297.
    """
    if action_horizon < 1:
        raise ValueError(f"action_horizon: got {action_horizon}, expected 1 or more")
    return dim_mask[:, None, :].repeat(1, action_horizon, 1)


@checked
def action_mask_dims_and_steps(
    dim_mask: Bool[Tensor, "batch padded_dim"], step_mask: Bool[Tensor, "batch action_horizon"]
) -> Bool[Tensor, "batch action_horizon padded_dim"]:
    """GR00T N1.7's `action_mask`: True where the dim **and** the step are real.

    Source: huggingface/lerobot at 7427f318, `processor_groot.py` 1943-1972. We differ: ours is bool, theirs float 0/1.
    """
    return step_mask[:, :, None] & dim_mask[:, None, :]


@checked
def join_tokens(cameras: Sequence, text: Float[Tensor, "words width"]) -> VLTokens:
    """Puts camera tokens and text tokens in a row. `None` is a camera that this robot does not have.

    An absent camera keeps its seats, marked as not real, so that the other cameras stand at the same places for every
    robot. That is what openpi and LeRobot's pi0 do. We differ: our seats hold zeros, openpi's the encoding of a blank
    picture.

    Args:
        cameras: for each camera its tokens, `tokens_per_camera, width`, or None.
        text: the tokens of the instruction.

    Raises:
        TypeError: a camera that is neither a tensor nor None.
        ValueError: every camera is None, so nothing says how many seats one needs; or cameras that differ in shape; or
            cameras and text that differ in width, dtype or device.

    Source: Physical-Intelligence/openpi at 15a9616a, `src/openpi/models/pi0.py` 117-131.
    """
    present = [camera for camera in cameras if camera is not None]
    if not present:
        raise ValueError("cameras: got none that is present, expected at least one to tell how many tokens one has")
    _all_of_kind("cameras", present, Tensor)
    _all_alike("cameras", present, {"shape": lambda camera: tuple(camera.shape)})
    axes_and_width = {"number of axes": lambda tokens: tokens.ndim, "width": lambda tokens: tokens.shape[-1]}
    _all_alike("cameras and text", [present[0], text], axes_and_width)
    images = torch.cat([torch.zeros_like(present[0]) if camera is None else camera for camera in cameras])
    is_real = torch.tensor([camera is not None for camera in cameras], device=text.device)
    is_real = is_real.repeat_interleave(present[0].shape[0])
    is_word = torch.ones_like(text[:, 0], dtype=torch.bool)
    return VLTokens(
        tokens=torch.cat([images, text]),
        image_mask=torch.cat([torch.ones_like(is_real), ~is_word]),
        real_mask=torch.cat([is_real, is_word]),
    )


@checked
def pad_tokens_right(samples: Sequence, key_len: int) -> VLBatch:
    """Puts the padding **after** the tokens, as pi0 does. Every sample starts at position 0.

    Args:
        samples: one `VLTokens` a sample, all of the same width and dtype. Lengths may differ.
        key_len: how many tokens a row of the batch has.

    Raises:
        TypeError: an entry of `samples` that is no `VLTokens`.
        ValueError: no sample, samples of different widths, dtypes or devices, or one longer than `key_len`.
    """
    return _pad_tokens(samples, key_len, lambda missing: (0, missing))


@checked
def pad_tokens_left(samples: Sequence, key_len: int) -> VLBatch:
    """Puts the padding **before** the tokens, as GR00T does. Every sample ends at the last position.

    Args:
        samples: one `VLTokens` a sample, all of the same width and dtype. Lengths may differ.
        key_len: how many tokens a row of the batch has.

    Raises:
        TypeError: an entry of `samples` that is no `VLTokens`.
        ValueError: no sample, samples of different widths, dtypes or devices, or one longer than `key_len`.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 211 (`padding_side = "left"`).
    """
    return _pad_tokens(samples, key_len, lambda missing: (missing, 0))


def _pad_tokens(samples: Sequence, key_len: int, sides: Callable[[int], tuple[int, int]]) -> VLBatch:
    _all_of_kind("samples", samples, VLTokens)
    _all_alike("samples", [sample.tokens for sample in samples], {"token widths": lambda tokens: tokens.shape[1]})
    tokens, real, image = [], [], []
    for index, sample in enumerate(samples):
        length = sample.tokens.shape[0]
        if length > key_len:
            raise ValueError(
                f"samples[{index}]: got {length} tokens, expected at most key_len={key_len}; nothing is cut"
            )
        before, after = sides(key_len - length)
        tokens.append(torch.nn.functional.pad(sample.tokens, (0, 0, before, after)))
        real.append(torch.nn.functional.pad(sample.real_mask, (before, after)))
        image.append(torch.nn.functional.pad(sample.image_mask, (before, after)))
    return VLBatch(torch.stack(tokens), torch.stack(real), torch.stack(image))


def _missing_steps(actions: Tensor, action_horizon: int) -> int:
    steps = actions.shape[0]
    if not 1 <= steps <= action_horizon:
        raise ValueError(f"actions: got {steps} steps, expected 1 to action_horizon={action_horizon}; nothing is cut")
    return action_horizon - steps


def _is_pad(actions: Tensor, missing: int) -> Tensor:
    return torch.arange(actions.shape[0] + missing, device=actions.device) >= actions.shape[0]


def _fits(name: str, action_dim: int, padded_dim: int) -> None:
    if padded_dim < 1:
        raise ValueError(f"padded_dim: got {padded_dim}, expected 1 or more")
    if action_dim < 1:
        raise ValueError(f"{name}: got no dims, expected 1 to padded_dim={padded_dim}")
    if action_dim > padded_dim:
        raise ValueError(
            f"{name}: got {action_dim} dims, expected at most padded_dim={padded_dim}; "
            f"padding them would cut off {action_dim - padded_dim} real dims"
        )


def _all_of_kind(name: str, items: Sequence, kind: type) -> None:
    """Looks at every item. The annotation `Sequence[ActionChunk]` would look at one of them, drawn at random."""
    if not items:
        raise ValueError(f"{name}: got none, expected at least one")
    for index, item in enumerate(items):
        if not isinstance(item, kind):
            raise TypeError(f"{name}[{index}]: got a {type(item).__name__}, expected {kind.__name__}")


def _all_alike(name: str, tensors: Sequence[Tensor], traits: dict[str, Callable[[Tensor], Any]]) -> None:
    """What a stack needs, said before torch says it less clearly, or promotes a dtype without a word."""
    everywhere = {"dtype": lambda tensor: tensor.dtype, "device": lambda tensor: tensor.device}
    for trait, of in (traits | everywhere).items():
        values = [of(tensor) for tensor in tensors]
        if len(set(values)) > 1:
            raise ValueError(f"{name}: got {trait} {values}, expected the same in every one")
