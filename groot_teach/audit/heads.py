"""The auditor for GR00T action heads: this book's, and the two that LeRobot released.

Each function is short, because the auditor needs little: how the head is called, which module gives its prediction, and
which modules lie between two stages. For a policy of your own you write the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from groot_teach.audit import Answer, MaskReport, Padding, Tap, audit_masks
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.padding import ActionBatch, VLBatch
from groot_teach.shapes import PositiveInt, checked


def head_taps(action_encoder: str, vl_self_attention: str) -> tuple[Tap, ...]:
    """The two places inside a GR00T head, by the paths of the modules whose outputs hold steps and tokens."""
    return (
        Tap(action_encoder, "steps", before="action encoder", behind="DiT self-attention"),
        Tap(vl_self_attention, "tokens", before="VL self-attention", behind="DiT cross-attention"),
    )


@checked
def audit_action_head(
    head: ActionHead,
    observation: Observation,
    batch: ActionBatch,
    noise: Float[Tensor, "batch action_horizon padded_dim"],
    t: Float[Tensor, " batch"],
    inference_steps: PositiveInt = 4,
    **more: Any,
) -> MaskReport:
    """Audits this book's head; `more` is passed on to `audit_masks`.

    Args:
        head: the head, in train or eval mode as you use it.
        observation: the tokens, state and embodiment that it reads; some tokens are padding.
        batch: the actions with their masks; some dims and some steps are padding.
        noise: where each action starts.
        t: the flow time of each sample, 0 = noise, 1 = data.
        inference_steps: how many Euler steps its sampler takes.
        more: is passed on to `audit_masks`.

    Raises:
        ValueError: as `audit_masks`, and as `ActionHead.loss`.
    """
    vl = observation.vl
    given = {
        "actions": batch.actions,
        "noise": noise,
        "t": t,
        "dim_mask": batch.dim_mask,
        "step_mask": batch.step_mask,
        "tokens": vl.tokens,
        "token_mask": vl.backbone_attention_mask,
        "state": observation.state,
        "embodiment_id": observation.embodiment_id,
    }
    masks = {"token_mask": 1}
    if vl.image_mask is not None:
        given["image_mask"], masks["image_mask"] = vl.image_mask, 1

    def observed(given: dict[str, Any]) -> Observation:
        tokens = VLBatch(given["tokens"], given["token_mask"], given.get("image_mask"))
        return Observation(tokens, given["state"], given["embodiment_id"])

    def run(given: dict[str, Any]) -> Answer:
        chunk = ActionBatch(given["actions"], given["dim_mask"], given["step_mask"])
        answer = head.answer(observed(given), chunk, given["noise"], given["t"])
        return Answer(answer.velocity_pred, lambda said: head.compare(said, answer.velocity_target, answer.counted))

    def sample(given: dict[str, Any]) -> Tensor:
        return head.sample(observed(given), given["noise"], given["dim_mask"], given["step_mask"], inference_steps)[-1]

    padding = [
        Padding("dims", batch.dim_mask, {"actions": 2, "noise": 2}, {"dim_mask": 1}),
        Padding("steps", batch.step_mask, {"actions": 1, "noise": 1}, {"step_mask": 1}),
        Padding("tokens", vl.backbone_attention_mask, {"tokens": 1}, masks),
    ]
    last = f"vl_blocks.{len(head.vl_blocks) - 1}" if len(head.vl_blocks) else "vl_norm"
    taps = _at(head_taps("action_encoder", last), padding)
    return audit_masks(run, given, _with_padding(padding), module=head, taps=taps, sample=sample, **more)


@checked
def audit_lerobot_head(
    head: nn.Module,
    backbone_output: Mapping[str, Any],
    action_input: Mapping[str, Any],
    step_mask: Bool[Tensor, "batch action_horizon"] | None = None,
    **more: Any,
) -> MaskReport:
    """Audits a released head: LeRobot's `FlowmatchingActionHead` (N1.5) or `GR00TN17ActionHead` (N1.7).

    Args:
        head: the head, in train or eval mode as you use it.
        backbone_output: what the head is called with: `backbone_features`, `backbone_attention_mask`, and for N1.7
            `image_mask`.
        action_input: `action`, `action_mask`, `state`, `embodiment_id`.
        step_mask: which steps were recorded, True = real. None = what `action_mask` says. The `action_mask` of N1.5
            calls copied steps real, so pass the dataset's own mask of steps here.
        more: is passed on to `audit_masks`.

    Raises:
        ValueError: as `audit_masks`.
    """
    released: Any = head  # a type checker cannot know its methods: torch declares each of them a tensor or a module
    kinds: list[Callable[[dict[str, Any]], Any]] = [type(backbone_output), type(action_input)]
    given = {f"vl.{name}": value for name, value in backbone_output.items()}
    given |= {f"action.{name}": value for name, value in action_input.items()}
    real = action_input["action_mask"] > 0
    steps = real.any(dim=2) if step_mask is None else step_mask
    tokens = backbone_output["backbone_attention_mask"] > 0

    def both(given: dict[str, Any], without: tuple[str, ...] = ()) -> list[Any]:
        names = {name: name.split(".", 1) for name in given}
        parts = [
            {own: given[name] for name, (part, own) in names.items() if part == wanted and own not in without}
            for wanted in ("vl", "action")
        ]
        return [kind(part) for kind, part in zip(kinds, parts, strict=True)]

    def sample(given: dict[str, Any]) -> Tensor:
        return released.get_action(*both(given, without=("action", "action_mask")))["action_pred"]

    padding = [
        Padding("dims", real.any(dim=1), {"action.action": 2}, {"action.action_mask": 2}),
        Padding(
            "steps",
            steps,
            {"action.action": 1},
            {"action.action_mask": 1},
            predicted="last",  # the decoder also decodes the state and the future tokens, which stand in front
        ),
        Padding(
            "tokens",
            tokens,
            {"vl.backbone_features": 1},
            {f"vl.{name}": 1 for name in ("backbone_attention_mask", "image_mask") if name in backbone_output},
        ),
    ]
    return audit_masks(
        lambda given: head(*both(given))["loss"],
        given,
        _with_padding(padding),
        module=head,
        prediction="action_decoder",
        taps=_at(head_taps("action_encoder", "vl_self_attention"), padding),
        sample=sample,
        sample_along=("dims", "tokens"),
        **more,
    )


def _with_padding(padding: list[Padding]) -> list[Padding]:
    """The axes along which this batch has padding; without padding there is nothing to look for."""
    return [kind for kind in padding if not kind.real.all()]


def _at(taps: tuple[Tap, ...], padding: list[Padding]) -> tuple[Tap, ...]:
    axes = {kind.axis for kind in _with_padding(padding)}
    return tuple(tap for tap in taps if tap.axis in axes)
