"""What a mask means: foreign masks converted at the door, and `Masking`, the record of who obeys them.

Here every mask is bool and True means *real*, or *may be used*. Other code means other things by the same word, so each
foreign mask comes in through a function that says from what it converts. A value that the foreign convention does not
know is an error, never a guess.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from jaxtyping import Bool, Float, Integer
from torch import Tensor

from groot_teach.shapes import checked

# ----------------------------------------------------------------------------------------------- foreign masks


@checked
def from_action_is_pad(action_is_pad: Bool[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """From LeRobot's `action_is_pad`, in which **True = padding**, to a `step_mask`, in which True = real.

    Source: huggingface/lerobot at 7427f318, `src/lerobot/datasets/dataset_reader.py` 247-256.
    """
    return ~action_is_pad


@checked
def from_key_padding_mask(key_padding_mask: Bool[Tensor, "batch key_len"]) -> Bool[Tensor, "batch key_len"]:
    """From PyTorch's `key_padding_mask`, in which **True = ignore**, to a mask in which True = may be read.

    Source: `torch.nn.MultiheadAttention.forward`. Its neighbour `scaled_dot_product_attention` means the opposite by a
    bool `attn_mask`: there True = takes part, as here.
    """
    return ~key_padding_mask


@checked
def from_mha_attn_mask(attn_mask: Bool[Tensor, "*heads query_len key_len"]) -> Bool[Tensor, "*heads query_len key_len"]:
    """From the bool `attn_mask` of PyTorch's `MultiheadAttention`, in which **True = must not read**.

    The function beneath that module, `scaled_dot_product_attention`, has an `attn_mask` too, and means the opposite.

    Source: `torch.nn.MultiheadAttention.forward`.
    """
    return ~attn_mask


@checked
def from_float_mask(values: Float[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """From a float mask of ones (real) and zeros (padding), such as GR00T N1.7's `action_mask`.

    Raises:
        ValueError: a value other than 0 and 1. If there are large negative ones, it is an additive mask.
    """
    return _from_zeros_and_ones(values)


@checked
def from_int_mask(values: Integer[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """From an integer mask of ones (real) and zeros (padding), such as a tokenizer's int64 `attention_mask`.

    Raises:
        ValueError: a value other than 0 and 1.
    """
    return _from_zeros_and_ones(values)


ADDITIVE_HIDDEN = -9984.0
"""At or below this, an additive mask hides. The mildest constant that we know of is -1e4; bfloat16 makes it -9984."""


@checked
def from_additive_mask(values: Float[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """From a mask that is added to attention logits: 0 = may be read; -1e4, -1e9, `finfo.min` or `-inf` = hidden.

    Raises:
        ValueError: a value in between or above 0: that is a bias, and no bool mask can say it.
    """
    real, hidden = values == 0, values <= ADDITIVE_HIDDEN
    if not (real | hidden).all():
        other = values[~(real | hidden)][0].item()
        raise ValueError(f"values: got {other:g}, expected 0 (may be read) or at most {ADDITIVE_HIDDEN:g} (hidden)")
    return real


def _from_zeros_and_ones(values: Tensor) -> Tensor:
    known = (values == 0) | (values == 1)
    if not known.all():
        raise ValueError(f"values: got {values[~known][0].item():g}, expected only 0 (padding) and 1 (real)")
    return values == 1


# ------------------------------------------------------------------------------------------------ who obeys them


@dataclass(frozen=True)
class Leak:
    """One way for padding to reach the result, and the switch that stops it.

    Attributes:
        name: the leak's name in this book.
        stage: the stage of the policy at which it happens; there are six.
        switch: the field of `Masking` that decides.
        axis: along which axis the padding lies.
        leaks: the positions of the switch at which padding gets through -> what it does then.
        holds: the positions at which it does not -> what happens instead.
    """

    name: str
    stage: str
    switch: str
    axis: Literal["dims", "steps", "tokens", "dims and steps"]
    leaks: dict[str, str]
    holds: dict[str, str]


LEAKS = (
    Leak(
        name="input leak",
        stage="action encoder",
        switch="encoder_input",
        axis="dims and steps",
        leaks={"open": "padded entries arrive as noise"},
        holds={"closed": "padded entries are set to 0"},
    ),
    Leak(
        name="step leak",
        stage="DiT self-attention",
        switch="self_attention",
        axis="steps",
        leaks={"open": "padded steps are read like real ones"},
        holds={"closed": "padded steps are not read"},
    ),
    Leak(
        name="mixing leak",
        stage="VL self-attention",
        switch="vl_self_attention",
        axis="tokens",
        leaks={"open": "padded tokens mix into real ones"},
        holds={"closed": "padded tokens are not read", "absent": "there is no such layer"},
    ),
    Leak(
        name="context leak",
        stage="DiT cross-attention",
        switch="cross_attention",
        axis="tokens",
        leaks={"open": "padded tokens are read by the actions"},
        holds={"closed": "padded tokens are not read"},
    ),
    Leak(
        name="target leak",
        stage="loss",
        switch="loss",
        axis="dims and steps",
        leaks={"open": "every entry counts", "dims": "copied steps count"},
        holds={"dims_and_steps": "only real entries count"},
    ),
    Leak(
        name="denominator leak",
        stage="loss",
        switch="loss_denominator",
        axis="dims and steps",
        leaks={"all": "divided by all entries"},
        holds={"valid": "divided by those that count", "valid_plus_eps": "by those that count + 1e-6"},
    ),
    Leak(
        name="rollout leak",
        stage="sampler",
        switch="sampler",
        axis="dims",
        leaks={"free": "padded dims drift freely"},
        holds={"zero": "padded dims stay 0", "renoise": "padded dims get training's noise"},
    ),
)
"""The seven leaks at the six stages. The loss has two: what it sums, and what it divides by."""


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which stages of a policy obey the masks: one switch for each leak.

    Attributes:
        encoder_input: `closed` = padded entries are set to 0 before the action encoder; `open` = they arrive as noise.
        self_attention: `closed` = padded action steps are not read by other steps in the DiT.
        vl_self_attention: `closed` = padded tokens are not read by other tokens; `absent` = the head has no such layer.
        cross_attention: `closed` = padded tokens are not read by the DiT.
        loss: which entries are summed: `open` = all, `dims` = those of real dims, `dims_and_steps` = the real ones.
        loss_denominator: what the sum is divided by: `all` entries, the `valid` ones (those that are summed), or
            `valid_plus_eps`: 1e-6 more.
        sampler: what padded dims hold at inference: `free` = what the network integrates, `zero`, or `renoise` = the
            noise level that training showed.
        name: what the preset is called.
        source: where upstream does this.

    Raises:
        ValueError: a switch in a position that it does not have.
    """

    encoder_input: Literal["open", "closed"]
    self_attention: Literal["open", "closed"]
    vl_self_attention: Literal["open", "closed", "absent"]
    cross_attention: Literal["open", "closed"]
    loss: Literal["open", "dims", "dims_and_steps"]
    loss_denominator: Literal["all", "valid", "valid_plus_eps"]
    sampler: Literal["free", "zero", "renoise"]
    name: str = field(default="custom", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for leak in LEAKS:
            position, known = getattr(self, leak.switch), [*leak.leaks, *leak.holds]
            if position not in known:
                raise ValueError(f"{leak.switch}: got {position!r}, expected one of {', '.join(map(repr, known))}")


def open_leaks(masking: Masking) -> tuple[str, ...]:
    """The names of the leaks that `masking` leaves open. A loss that masks dims and not steps keeps its target leak."""
    return tuple(leak.name for leak in LEAKS if getattr(masking, leak.switch) in leak.leaks)


SWITCHES = tuple(f.name for f in fields(Masking) if f.name not in ("name", "source"))


def with_switches(masking: Masking, **positions: str) -> Masking:
    """A copy with some switches moved: `with_switches(STRICT, cross_attention="open")`. Its name says which.

    `dataclasses.replace` would keep the name and the source of a version that does not do this.

    Raises:
        ValueError: a switch that does not exist, or a position that it does not have.
    """
    unknown = [name for name in positions if name not in SWITCHES]
    if unknown:
        raise ValueError(f"{unknown[0]}: no such switch, expected one of {', '.join(SWITCHES)}")
    moved = ", ".join(f"{name}={position}" for name, position in positions.items())
    return replace(masking, **positions, name=f"{masking.name} with {moved}", source="") if moved else masking


GROOT_N1_5 = Masking(
    encoder_input="open",
    self_attention="open",
    vl_self_attention="open",
    cross_attention="open",
    loss="dims",
    loss_denominator="valid",
    sampler="free",
    name="GR00T N1.5",
    source="huggingface/lerobot v0.4.4, action_head/flow_matching_action_head.py 259-264, 303-339, 359-397 and "
    "cross_attention_dit.py 164-169, 276-291; NVIDIA/Isaac-GR00T at 4af2b622 does the same",
)

GROOT_N1_6 = Masking(
    encoder_input="open",
    self_attention="open",
    vl_self_attention="absent",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid_plus_eps",
    sampler="free",
    name="GR00T N1.6",
    source="NVIDIA/Isaac-GR00T at 4e62473d, gr00t/model/modules/dit.py 151-153, 322-352 (AlternateVLDiT, the default; "
    "the plain DiT still drops the mask), gr00t_n1d6.py 142-146, 246-248",
)

GROOT_N1_7 = Masking(
    encoder_input="open",
    self_attention="open",
    vl_self_attention="open",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid_plus_eps",
    sampler="free",
    name="GR00T N1.7",
    source="NVIDIA/Isaac-GR00T at 626af89d, gr00t_n1d7.py 160-166, 215-219, 262-264, 335-339 and dit.py 201-203, "
    "372-402; huggingface/lerobot at 7427f318 does the same and folds action_is_pad into the mask",
)

PR_741 = Masking(
    encoder_input="closed",
    self_attention="closed",
    vl_self_attention="open",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid_plus_eps",
    sampler="zero",
    name="PR #741",
    source="NVIDIA/Isaac-GR00T pull request 741 (open): opt-in strict_action_padding_mask. It does not touch the "
    "vision-language self-attention",
)

STRICT = Masking(
    encoder_input="closed",
    self_attention="closed",
    vl_self_attention="closed",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid",
    sampler="zero",
    name="strict",
    source="this book: every door closed",
)

OCTO_RENOISE = Masking(
    encoder_input="open",
    self_attention="open",
    vl_self_attention="open",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid",
    sampler="renoise",
    name="Octo's re-noising",
    source="octo-models/octo at 241fb351, octo/model/components/action_heads.py 579-582, for the sampler; the other "
    "switches stand as in GR00T N1.7, with a plain count of valid entries",
)

PRESETS = (GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, OCTO_RENOISE)
