"""What a mask means, and which stages of a policy obey it.

In this library every mask is bool, and True means *real* or *may be used*. Other code uses other conventions, so the
first part converts a mask from each of them, in a function that is named after the convention. A value that does not
exist in that convention is an error.

The second part is about what a policy does with its masks. A mask has no effect until some stage of the policy reads
it. Where a stage does not, padding can reach the result: that is a *leak*, and `LEAKS` lists seven of them. `Masking`
has one switch for each leak. A published version of GR00T, NVIDIA's robot policy, is one setting of all switches; the
settings with a name, such as `GROOT_N1_5`, are the *presets*.

The switches use the words of a GR00T policy: its *head* turns vision-language (VL) tokens and noise into actions. The
head encodes the noisy actions, its transformer (the *DiT*) lets action steps read each other (self-attention) and the
VL tokens (cross-attention), and at inference its *sampler* walks from noise to actions in several steps.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from jaxtyping import Bool, Float, Integer
from torch import Tensor

from groot_teach.shapes import checked

# ------------------------------------------------------------------------------- masks of other conventions


@checked
def from_action_is_pad(action_is_pad: Bool[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """Converts LeRobot's `action_is_pad`, where **True = padding**, to a `step_mask`, where True = real.

    Source: huggingface/lerobot at 7427f318, `src/lerobot/datasets/dataset_reader.py` 247-256.
    """
    return ~action_is_pad


@checked
def from_key_padding_mask(key_padding_mask: Bool[Tensor, "batch key_len"]) -> Bool[Tensor, "batch key_len"]:
    """Converts PyTorch's `key_padding_mask`, where **True = ignore**, to a mask where True = may be read.

    Source: `torch.nn.MultiheadAttention.forward`. In the bool `attn_mask` of `scaled_dot_product_attention` it is the
    other way round: there True = takes part, as here.
    """
    return ~key_padding_mask


@checked
def from_mha_attn_mask(attn_mask: Bool[Tensor, "*heads query_len key_len"]) -> Bool[Tensor, "*heads query_len key_len"]:
    """Converts the bool `attn_mask` of PyTorch's `MultiheadAttention`, where **True = must not read**.

    The function that this module calls, `scaled_dot_product_attention`, also has an `attn_mask`, where True means the
    opposite.

    Source: `torch.nn.MultiheadAttention.forward`.
    """
    return ~attn_mask


@checked
def from_float_mask(values: Float[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """Converts a float mask of ones (real) and zeros (padding), such as GR00T N1.7's `action_mask`.

    Raises:
        ValueError: a value other than 0 and 1. A mask with large negative values is an additive mask:
            `from_additive_mask` converts it.
    """
    return _from_zeros_and_ones(values)


@checked
def from_int_mask(values: Integer[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """Converts an integer mask of ones (real) and zeros (padding), such as a tokenizer's int64 `attention_mask`.

    Raises:
        ValueError: a value other than 0 and 1.
    """
    return _from_zeros_and_ones(values)


ADDITIVE_HIDDEN = -9984.0
"""In an additive mask, this number and everything below it hides a key. The mildest constant that we know of is -1e4,
which bfloat16 rounds to -9984."""


@checked
def from_additive_mask(values: Float[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """Converts a mask that is added to attention logits: 0 = may be read; -1e4, -1e9, `finfo.min` or `-inf` = hidden.

    Raises:
        ValueError: a value in between, or above 0. It changes how much of a key is read, which a bool mask cannot say.
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


# ------------------------------------------------------------------------------------ which stages obey them


@dataclass(frozen=True)
class Leak:
    """One way for padding to reach the result, and the switch that stops it.

    Attributes:
        name: the leak's name in this book.
        stage: the stage of the policy at which it happens; there are six.
        switch: the field of `Masking` that opens or closes this leak.
        axis: the axis along which the padding lies.
        leaks: for each position of the switch in which padding gets through: what padding does then.
        holds: for each position in which it does not: what happens instead.
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
        holds={"valid": "divided by count", "valid_plus_eps": "divided by count + 1e-6"},
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
"""The seven leaks, at six stages. The loss has two: what is summed, and what the sum is divided by."""


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which stages of a policy obey the masks: one switch for each leak.

    Attributes:
        encoder_input: `closed` = padded entries are set to 0 before the action encoder; `open` = they arrive as noise.
        self_attention: `closed` = padded action steps are not read by other steps in the DiT; `open` = they are.
        vl_self_attention: `closed` = padded VL tokens are not read by other VL tokens; `open` = they are; `absent` =
            the head has no layer in which VL tokens read each other.
        cross_attention: `closed` = padded VL tokens are not read by the DiT; `open` = they are.
        loss: which entries are summed: `open` = all, `dims` = those of real dims, in every step, `dims_and_steps` =
            those of real dims in real steps.
        loss_denominator: what the sum is divided by: the number of `all` entries, of the `valid` ones (those that are
            summed), or `valid_plus_eps`, which adds 1e-6 to that.
        sampler: what padded dims hold at inference: `free` = what the network makes of them, `zero` = 0, or `renoise` =
            noise of the strength that they had in training at this flow time.
        name: the name of the preset, or `custom`.
        source: where the published code does this.

    Raises:
        ValueError: a switch has no such position.
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
            if not isinstance(position, str) or position not in known:
                raise ValueError(f"{leak.switch}: got {position!r}, expected one of {', '.join(map(repr, known))}")


@checked
def open_leaks(masking: Masking) -> tuple[str, ...]:
    """The names of the leaks that `masking` leaves open. A loss that masks dims but not steps still has its leak."""
    return tuple(leak.name for leak in LEAKS if getattr(masking, leak.switch) in leak.leaks)


SWITCHES = tuple(f.name for f in fields(Masking) if f.name not in ("name", "source"))


@checked
def with_switches(masking: Masking, **positions: str) -> Masking:
    """A copy with some switches moved: `with_switches(STRICT, cross_attention="open")`. The new name lists them.

    `dataclasses.replace` would keep the name and the source of a version that does not do this.

    Raises:
        ValueError: there is no such switch, or it has no such position.
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
"""GR00T N1.5 as released. Four doors stand open at the attention layers and the encoder, the loss masks dims but not
steps, and the sampler leaves padded dims free."""

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
"""GR00T N1.6 as released, with its default transformer. It masks the cross-attention and the loss, and has no
self-attention of the VL tokens."""

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
"""GR00T N1.7 as released. It masks the cross-attention and the loss, as N1.6 does, but VL tokens read padded ones."""

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
"""GR00T N1.7 with the repair that was proposed to NVIDIA: only the mixing leak is left."""

STRICT = Masking(
    encoder_input="closed",
    self_attention="closed",
    vl_self_attention="closed",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid",
    sampler="zero",
    name="strict",
    source="this book: every leak closed",
)
"""Every door shut. No released version."""

OCTO_RENOISE = Masking(
    encoder_input="open",
    self_attention="open",
    vl_self_attention="open",
    cross_attention="closed",
    loss="dims_and_steps",
    loss_denominator="valid",
    sampler="renoise",
    name="Octo's re-noising",
    source="octo-models/octo at 241fb351, octo/model/components/action_heads.py 579-582, for the sampler, where the "
    "noise is one diffusion step too strong; the other switches stand as in GR00T N1.7, with a plain count of valid "
    "entries",
)
"""The doors of GR00T N1.7, but for a sampler that fills padded dims with noise, as Octo does, and a plain count."""

GROOT_N1_6_PLAIN_DIT = replace(
    GROOT_N1_6,
    cross_attention="open",
    name="GR00T N1.6, plain DiT",
    source="NVIDIA/Isaac-GR00T at 4e62473d, gr00t/model/modules/dit.py 264-274: with use_alternate_vl_dit false, the "
    "head uses the plain DiT, which drops the mask of the tokens",
)
"""GR00T N1.6 with its other transformer, which drops the mask of the tokens."""

GROOT_N1_7_PLAIN_DIT = replace(
    GROOT_N1_7,
    cross_attention="open",
    name="GR00T N1.7, plain DiT",
    source="huggingface/lerobot 0.6.1, action_head/cross_attention_dit.py 306-312: with use_alternate_vl_dit false, "
    "the head uses the plain DiT, which drops the mask of the tokens",
)
"""GR00T N1.7 with its other transformer, which drops the mask of the tokens."""

PRESETS = (GROOT_N1_5, GROOT_N1_6, GROOT_N1_7, PR_741, STRICT, OCTO_RENOISE)
"""The six settings that the chapters compare, as a tuple. The two with a plain DiT, which no released checkpoint uses,
are not among them."""
