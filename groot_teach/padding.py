"""Padding: how robots of different widths and prompts of different lengths become one rectangular batch.

A policy (a network that gives a robot its actions) is trained on batches, and a batch is a rectangle. What a sample
lacks is filled in; the rest of the sample is *real*. Three axes are padded, and each gets a bool mask, True = real:

    axis     why lengths differ                      filled with       mask                       of shape
    dims     robots have 6, 16 or 26 action dims     zeros             `dim_mask`                 batch, padded_dim
    steps    the recording ends inside the chunk     copies or zeros   `step_mask`                batch, action_horizon
    tokens   prompts differ, a robot lacks a camera  zeros             `backbone_attention_mask`  batch, key_len

`dim_mask` and `step_mask` together make the `action_mask`, which says what counts in the loss. The versions of GR00T,
NVIDIA's robot policy, make it in two ways, so there are two functions. "VL" is short for vision-language.

Nothing here is ever cut off: what does not fit is an error that says by how much.

"Upstream" in the notes on where we differ is the published code that the `Source` line names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groot_teach.checks import at_least_1, not_too_many
from groot_teach.shapes import DimMask, PositiveInt, StepMask, TokenMask, checked


@checked
@dataclass(frozen=True, eq=False)
class ActionChunk:
    """The next few actions of one robot, one for each step, filled up to `action_horizon` steps.

    Attributes:
        actions: `action_horizon, action_dim`.
        action_is_pad: `action_horizon`, bool. **True = padding**, as in LeRobot, the library that this flag comes from.
        task: the instruction that the robot was given, or an empty string.
    """

    actions: Float[Tensor, "action_horizon action_dim"]
    action_is_pad: Bool[Tensor, " action_horizon"]
    task: str = ""


@checked
@dataclass(frozen=True, eq=False)
class ActionBatch:
    """The chunks of several robots in one tensor, with the masks that say which of its dims and steps are real.

    Attributes:
        actions: `batch, action_horizon, padded_dim`; zeros in padded dims.
        dim_mask: `batch, padded_dim`, bool, True = this robot has this dim.
        step_mask: `batch, action_horizon`, bool, True = this step was recorded, False = it was filled in.
    """

    actions: Float[Tensor, "batch action_horizon padded_dim"]
    dim_mask: DimMask
    step_mask: StepMask


@checked
@dataclass(frozen=True, eq=False)
class VLTokens:
    """The vision-language (VL) tokens of one sample, before padding: first those of the cameras, then the text.

    Attributes:
        tokens: `token, width`.
        image_mask: `token`, bool, True = a token of a camera, even of one that this robot lacks.
        real_mask: `token`, bool, True = a token with content, False = a place kept free for a camera that is absent.
    """

    tokens: Float[Tensor, "token width"]
    image_mask: Bool[Tensor, " token"]
    real_mask: Bool[Tensor, " token"]


@checked
@dataclass(frozen=True, eq=False)
class VLBatch:
    """The vision-language tokens of several samples in one tensor, with the masks that say what they are.

    Attributes:
        tokens: `batch, key_len, width`; zeros where padded.
        backbone_attention_mask: `batch, key_len`, bool, True = a real token. The note on which this book is based calls
            it `vl_attention_mask`.
        image_mask: `batch, key_len`, bool, True = a token of a camera. The places of an absent camera are True here and
            False in `backbone_attention_mask`, so code that reads images needs both masks. None = not known; GR00T N1.5
            has no such mask, since all its blocks read all tokens.
    """

    tokens: Float[Tensor, "batch key_len width"]
    backbone_attention_mask: TokenMask
    image_mask: TokenMask | None = None

    @property
    def cameras(self) -> TokenMask:
        """The `image_mask`, where it has to be known.

        Raises:
            ValueError: it is None.
        """
        if self.image_mask is None:
            raise ValueError("image_mask: got None, expected a mask: here it matters which tokens are a camera's")
        return self.image_mask


@checked
def pad_dims(actions: Float[Tensor, "*batch action_dim"], padded_dim: int) -> Float[Tensor, "*batch padded_dim"]:
    """Appends zeros to the last axis until it is `padded_dim` wide.

    Raises:
        ValueError: `actions` has no dim or more than `padded_dim`, or `padded_dim` is less than 1.

    Source: huggingface/lerobot v0.4.4, `src/lerobot/policies/groot/processor_groot.py` 350-352. We differ: upstream
    cuts wider actions down to `max_action_dim` without an error, so a 40-dim robot loses 8 joints; we raise.
    """
    action_dim = actions.shape[-1]
    _fits("actions", action_dim, padded_dim)
    return torch.nn.functional.pad(actions, (0, padded_dim - action_dim))


@checked
def pad_steps_with_copies(actions: Float[Tensor, "step action_dim"], action_horizon: int) -> ActionChunk:
    """Repeats the last step until the chunk is `action_horizon` long, as LeRobot and GR00T N1.5 do.

    Raises:
        ValueError: `actions` has no step, or more than `action_horizon`.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 337-342. We differ: upstream cuts longer chunks, we raise.
    """
    missing = _missing_steps("actions", actions, action_horizon)
    copies = actions[-1:].expand(missing, -1)
    return ActionChunk(torch.cat([actions, copies]), _is_pad(actions, missing))


@checked
def pad_steps_with_zeros(actions: Float[Tensor, "step action_dim"], action_horizon: int) -> ActionChunk:
    """Appends zero steps until the chunk is `action_horizon` long, as GR00T N1.6 and N1.7 do.

    Raises:
        ValueError: `actions` has no step, or more than `action_horizon`.

    Source: huggingface/lerobot at 7427f318, `processor_groot.py` 1933-1942; NVIDIA/Isaac-GR00T at 4e62473d,
    `processing_gr00t_n1d6.py` 322-332.
    """
    missing = _missing_steps("actions", actions, action_horizon)
    zeros = actions.new_zeros(missing, actions.shape[1])
    return ActionChunk(torch.cat([actions, zeros]), _is_pad(actions, missing))


@checked
def collate_chunks(chunks: Sequence, padded_dim: int) -> ActionBatch:
    """Stacks the chunks of several robots, each padded to `padded_dim`, and records what is real.

    Args:
        chunks: one `ActionChunk` for each robot, with equal numbers of steps and equal dtypes. The dims may differ.
        padded_dim: the number of dims of the batch.

    Raises:
        TypeError: an entry of `chunks` is not an `ActionChunk`.
        ValueError: there is no chunk; chunks differ in steps, dtype or device; or a chunk has no dim or too many.
    """
    _all_of_kind("chunks", chunks, ActionChunk)
    _all_alike("chunks", steps=[chunk.actions.shape[0] for chunk in chunks])
    _same_dtype_and_device("chunks", [chunk.actions for chunk in chunks])
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
def collate_chunks_with_zeros(
    chunks: Sequence,
    padded_dim: int,
    action_horizon: PositiveInt,
    valid_action_horizon: PositiveInt | None = None,
) -> ActionBatch:
    """Stacks the chunks of several robots as GR00T N1.7 does: whatever is no real step holds zeros.

    Copied steps become zeros, and chunks that are shorter than `action_horizon` get steps of zeros.

    Args:
        chunks: one `ActionChunk` for each robot, of equal dtypes. Steps and dims may differ.
        padded_dim: the number of dims of the batch.
        action_horizon: the number of steps of the batch.
        valid_action_horizon: how many steps this robot's policy predicts; the steps behind them are padding, even
            where something was recorded. None = all of them.

    Raises:
        TypeError: as `collate_chunks`.
        ValueError: as `collate_chunks`; a chunk has more steps than `action_horizon`; or `valid_action_horizon` is
            larger than that.

    Source: huggingface/lerobot 0.6.1, `processor_groot.py` 1926-1972. We differ: a copied step that is not finite
    becomes 0 here, and NaN there; and a `valid_action_horizon` that is too large is cut there.
    """
    _all_of_kind("chunks", chunks, ActionChunk)
    not_too_many("action_horizon", action_horizon)
    valid = action_horizon if valid_action_horizon is None else valid_action_horizon
    if valid > action_horizon:
        raise ValueError(f"valid_action_horizon: got {valid}, expected at most action_horizon={action_horizon}")
    zeroed = []
    for index, chunk in enumerate(chunks):
        missing = _missing_steps(f"chunks[{index}]", chunk.actions, action_horizon)
        is_pad = torch.nn.functional.pad(chunk.action_is_pad, (0, missing), value=True)
        is_pad[valid:] = True
        actions = torch.nn.functional.pad(chunk.actions, (0, 0, 0, missing))
        zeroed.append(ActionChunk(torch.where(is_pad[:, None], 0.0, actions), is_pad, chunk.task))
    return collate_chunks(zeroed, padded_dim)


@checked
def action_mask_dims_only(
    dim_mask: DimMask, action_horizon: PositiveInt
) -> Bool[Tensor, "batch action_horizon padded_dim"]:
    """GR00T N1.5's `action_mask`: True in every step of a real dim, **including copied steps**.

    Raises:
        ValueError: `action_horizon` is less than 1.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 353-354 (`action_mask[:, :, :d] = True`), and
    NVIDIA/Isaac-GR00T at 4af2b622, `gr00t/model/transforms.py` 295-297.
    """
    return dim_mask[:, None, :].repeat(1, action_horizon, 1)


@checked(same="device")
def action_mask_dims_and_steps(
    dim_mask: DimMask, step_mask: StepMask
) -> Bool[Tensor, "batch action_horizon padded_dim"]:
    """GR00T N1.7's `action_mask`: True where the dim **and** the step are real.

    Source: huggingface/lerobot at 7427f318, `processor_groot.py` 1943-1972. We differ: ours is bool, theirs float 0/1.
    """
    return step_mask[:, :, None] & dim_mask[:, None, :]


@checked
def join_tokens(cameras: Sequence, text: Float[Tensor, "words width"]) -> VLTokens:
    """Puts the tokens of the cameras and of the text in a row. `None` is a camera that this robot does not have.

    An absent camera still takes up its places in the row, marked as not real, so that the tokens of the other cameras
    are at the same positions for every robot. openpi and LeRobot's pi0 do so too. We differ: our places hold zeros,
    openpi's hold the encoding of a blank picture.

    Args:
        cameras: for each camera its tokens, `tokens_per_camera, width`, or None.
        text: the tokens of the instruction.

    Raises:
        TypeError: a camera is neither a tensor nor None.
        ValueError: every camera is None, so that the number of tokens of a camera is unknown; cameras differ in shape;
            or cameras and text differ in width, dtype or device.

    Source: Physical-Intelligence/openpi at 15a9616a, `src/openpi/models/pi0.py` 117-131.
    """
    present = [camera for camera in cameras if camera is not None]
    if not present:
        raise ValueError("cameras: got none that is present, expected at least one to tell how many tokens one has")
    _all_of_kind("cameras", present, Tensor)
    _all_alike("cameras", shape=[tuple(camera.shape) for camera in present])
    _same_dtype_and_device("cameras", present)
    _all_alike("cameras and text", **{"number of axes": [present[0].ndim, text.ndim]})
    _all_alike("cameras and text", width=[present[0].shape[-1], text.shape[-1]])
    _same_dtype_and_device("cameras and text", [present[0], text])
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
        samples: one `VLTokens` for each sample, of equal width and dtype. Their lengths may differ.
        key_len: the number of tokens in a row of the batch.

    Raises:
        TypeError: an entry of `samples` is not a `VLTokens`.
        ValueError: there is no sample; samples differ in width, dtype or device; or one is longer than `key_len`.
    """
    return _pad_tokens(samples, key_len, on_the_left=False)


@checked
def pad_tokens_left(samples: Sequence, key_len: int) -> VLBatch:
    """Puts the padding **before** the tokens, as GR00T does. Every sample ends at the last position.

    Args:
        samples: one `VLTokens` for each sample, of equal width and dtype. Their lengths may differ.
        key_len: the number of tokens in a row of the batch.

    Raises:
        TypeError: an entry of `samples` is not a `VLTokens`.
        ValueError: there is no sample; samples differ in width, dtype or device; or one is longer than `key_len`.

    Source: huggingface/lerobot v0.4.4, `processor_groot.py` 211 (`padding_side = "left"`).
    """
    return _pad_tokens(samples, key_len, on_the_left=True)


def _pad_tokens(samples: Sequence, key_len: int, on_the_left: bool) -> VLBatch:
    not_too_many("key_len", key_len)
    _all_of_kind("samples", samples, VLTokens)
    _all_alike("samples", **{"token widths": [sample.tokens.shape[1] for sample in samples]})
    _same_dtype_and_device("samples", [sample.tokens for sample in samples])
    tokens, real, image = [], [], []
    for index, sample in enumerate(samples):
        length = sample.tokens.shape[0]
        if length > key_len:
            raise ValueError(
                f"samples[{index}]: got {length} tokens, expected at most key_len={key_len}; nothing is cut"
            )
        missing = key_len - length
        before, after = (missing, 0) if on_the_left else (0, missing)
        tokens.append(torch.nn.functional.pad(sample.tokens, (0, 0, before, after)))
        real.append(torch.nn.functional.pad(sample.real_mask, (before, after)))
        image.append(torch.nn.functional.pad(sample.image_mask, (before, after)))
    return VLBatch(torch.stack(tokens), torch.stack(real), torch.stack(image))


def _missing_steps(name: str, actions: Tensor, action_horizon: int) -> int:
    steps = actions.shape[0]
    not_too_many("action_horizon", action_horizon)
    if not 1 <= steps <= action_horizon:
        raise ValueError(f"{name}: got {steps} steps, expected 1 to action_horizon={action_horizon}; nothing is cut")
    return action_horizon - steps


def _is_pad(actions: Tensor, missing: int) -> Tensor:
    return torch.arange(actions.shape[0] + missing, device=actions.device) >= actions.shape[0]


def _fits(name: str, action_dim: int, padded_dim: int) -> None:
    at_least_1("padded_dim", padded_dim)
    if action_dim < 1:
        raise ValueError(f"{name}: got no dims, expected 1 to padded_dim={padded_dim}")
    if action_dim > padded_dim:
        raise ValueError(
            f"{name}: got {action_dim} dims, expected at most padded_dim={padded_dim}; "
            f"padding them would cut off {action_dim - padded_dim} real dims"
        )


def _all_of_kind(name: str, items: Sequence, kind: type) -> None:
    """Checks every item: for the annotation `Sequence[ActionChunk]`, beartype would check only one, drawn at random."""
    if not items:
        raise ValueError(f"{name}: got none, expected at least one")
    for index, item in enumerate(items):
        if not isinstance(item, kind):
            raise TypeError(f"{name}[{index}]: got a {type(item).__name__}, expected {kind.__name__}")


def _all_alike(name: str, **traits: list) -> None:
    for trait, values in traits.items():
        if len(set(values)) > 1:
            raise ValueError(f"{name}: got {trait} {values}, expected the same in every one")


def _same_dtype_and_device(name: str, tensors: Sequence[Tensor]) -> None:
    """Torch would combine tensors of different dtypes without an error, in the wider dtype."""
    _all_alike(name, dtype=[tensor.dtype for tensor in tensors], device=[tensor.device for tensor in tensors])
