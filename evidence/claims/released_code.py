"""The note's claims about GR00T itself, each as an experiment on the code that LeRobot released.

That code is the two action heads, and the step that packs a batch.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evidence.claims.check import Found, apart, claim, percent
from evidence.claims.our_head import ARM_AND_CLAW, BOTH_CLOSED, ONE_OF_32, note_policy, with_masking
from evidence.conformance import Case, Pair, Version
from evidence.released import NEWER, OLDER
from evidence.released.heads import DIMS, Bag, draw, head_n1_5, head_n1_7
from evidence.released.pack_step import pack
from groot_teach.chapters.inside.policy import toy_policy
from groot_teach.head.stage_probes import leaks_found
from groot_teach.head.trace import Uses, readers, trace_masks
from groot_teach.masks import GROOT_N1_5, STRICT, Masking, with_switches

# ------------------------------------------------------------------------------------------------- a released head


@dataclass(frozen=True, eq=False)
class Released:
    """A tiny released head with random weights, and a batch of three mixed robots for it."""

    head: Any
    backbone_output: Bag
    action_input: Bag

    @classmethod
    def of(cls, version: Version, **head) -> "Released":
        pair = Pair.of(Case(version, head), 0, torch.float64)
        return cls(pair.theirs, pair.backbone_output(), pair.action_input())

    @property
    def is_real(self) -> torch.Tensor:
        return self.backbone_output["backbone_attention_mask"]

    def velocity(self, **tokens) -> torch.Tensor:
        """The head's answer in a training step, with some of the backbone's output exchanged."""
        answers = []
        handle = self.head.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out))
        self.train(Bag(self.backbone_output, **tokens))
        handle.remove()
        return answers[0].detach()

    def train(self, backbone_output: Bag, **more) -> torch.Tensor:
        torch.manual_seed(0)
        return self.head(backbone_output, Bag(self.action_input, **more))["loss"]

    def sample(self, backbone_output: Bag, **more) -> torch.Tensor:
        torch.manual_seed(0)
        asked = {name: value for name, value in self.action_input.items() if name != "action"} | more
        return self.head.get_action(backbone_output, Bag(asked))["action_pred"]


def trace(released: Released, way: str) -> Uses:
    """Where both masks go while the head trains or samples."""

    def run(action_mask, backbone_attention_mask):
        seen = Bag(released.backbone_output, backbone_attention_mask=backbone_attention_mask)
        getattr(released, way)(seen, action_mask=action_mask)

    return trace_masks(run, action_mask=released.action_input["action_mask"], backbone_attention_mask=released.is_real)


# -------------------------------------------------------------------------------------------------- the action mask


BOTH_OBEYED = with_switches(GROOT_N1_5, **BOTH_CLOSED)
"""The action mask in the loss, the mask of the tokens in both attentions that read them."""


@claim(1, "every stage obeying a mask, as in the strict head", masking=STRICT)
def two_masks_two_problems(masking: Masking = BOTH_OBEYED) -> Found:
    """Do the two masks have readers of their own? And if both are obeyed, is all padding hidden?"""
    uses = trace(Released.of("N1.7"), "train")
    both = set(readers(uses, "action_mask")) & set(readers(uses, "backbone_attention_mask"))
    policy = toy_policy("N1.5")
    policy.head.masking = masking
    leaks = leaks_found(policy.head, policy.observation, policy.batch, policy.noise, policy.t)
    figures = {"functions of N1.7 that read both": str(len(both)), "leaks left": ", ".join(leaks) or "none"}
    if both:
        return Found("wrong", figures)
    return Found("holds in part" if leaks else "holds", figures)


def released_decoders() -> tuple[int, ...]:
    """The widths of all decoders of the released head."""
    head = head_n1_5()
    return tuple(part.layer2.b.shape[-1] for name, part in head.named_children() if "decoder" in name)


def rebuilt_decoders() -> tuple[int, ...]:
    """The widths of all decoders of the head as we rebuilt it."""
    decoders: Any = note_policy().head.decoders
    return tuple(part.second.bias.shape[-1] for part in decoders.values())


@claim(2, "the fork's head, as we rebuilt it", decoders=rebuilt_decoders)
def the_code_is_lerobots(decoders=released_decoders) -> Found:
    """Does LeRobot have the files that the note names, and a head with the decoders that it shows?"""
    names = "flow_matching_action_head.py", "processor_groot.py"
    there = {folder.name: sum(any(folder.glob(f"lerobot/**/{name}")) for name in names) for folder in (OLDER, NEWER)}
    widths = decoders()
    has_files, has_decoders = there[OLDER.name] == 2, widths == tuple(size for _, size in ARM_AND_CLAW)
    asked = f"{DIMS}, as wide as its batch" if widths == (DIMS,) else " and ".join(map(str, widths))
    figures = {
        "the note's two files in LeRobot 0.4.4": str(there[OLDER.name]),
        "in 0.6.1": str(there[NEWER.name]),
        "width of the decoders": asked,
    }
    verdicts = {(True, True): "holds", (False, False): "wrong"}
    return Found(verdicts.get((has_files, has_decoders), "holds in part"), figures)


@claim(3, "a robot of 40 dims, eight of which are cut off", dims=40)
def padded_to_32_with_zeros(dims: int = 16) -> Found:
    """What LeRobot's packing step makes of actions with so many dims."""
    actions = draw(1, 3, 16, dims)
    packed = pack(actions, ["wave"] * 3)
    kept, padded = packed.action[..., :dims], packed.action[..., dims:]
    is_bool, shape = packed.action_mask.dtype == torch.bool, tuple(packed.action.shape)
    says_real = packed.action_mask.sum(dim=-1).unique().tolist()
    figures = {
        "shape": " x ".join(map(str, shape)),
        "largest padded entry": f"{padded.abs().max().item() if padded.numel() else 0:.1f}",
        "real dims, says the mask": f"{', '.join(map(str, says_real))} of the robot's {dims}",
    }
    right = is_bool and says_real == [dims] and kept.shape == actions.shape and torch.equal(kept, actions)
    return Found("holds" if right and padded.eq(0).all() else "wrong", figures)


@claim(7, "N1.7, which adds 0.000001 to the count", version="N1.7")
def sum_over_count_is_the_mean(version: Version = "N1.5") -> Found:
    """The released loss beside the mean over the real entries, picked out one by one; and with nothing to pick."""
    released, answers = Released.of(version, vl_layers=1), []
    real, action = released.action_input["action_mask"].bool(), released.action_input["action"]
    handle = released.head.action_decoder.register_forward_hook(lambda module, given, out: answers.append(out))
    loss = released.train(Bag(released.backbone_output))
    handle.remove()
    torch.manual_seed(0)
    target = action - torch.randn(action.shape, dtype=torch.float64)
    mean = (answers[0][:, -action.shape[1] :] - target)[real].square().mean()
    off = (abs(loss - mean) / mean).item()
    nothing = released.train(Bag(released.backbone_output), action_mask=torch.zeros_like(action)).item()
    figures = {
        "loss": f"{loss:.4f}",
        "mean over real entries": f"{mean:.4f}",
        "with a mask of zeros": str(nothing),
    }
    return Found("holds" if off < 1e-12 else "holds in part" if off < 1e-6 else "wrong", figures)


# ------------------------------------------------------------------------------------------ the mask of the tokens


def garbled(released: Released) -> torch.Tensor:
    """Other numbers in padded tokens."""
    tokens = released.backbone_output["backbone_features"]
    return torch.where(released.is_real[..., None], tokens, 1 + draw(9, *tokens.shape))


@claim(12, "a head without VL self-attention, as N1.6", vl_layers=0)
def a_mask_stops_attention_to_padding(vl_layers: int = 1) -> Found:
    """N1.7 does mask its cross-attention. Is the padding out of its answer?"""
    released = Released.of("N1.7", vl_layers=vl_layers)
    moved = apart(released.velocity(backbone_features=garbled(released)), released.velocity())
    without = Released.of("N1.7", vl_layers=vl_layers, use_alternate_vl_dit=False)
    unmasked = apart(without.velocity(backbone_features=garbled(without)), without.velocity())
    figures = {"answer moved by other padding, no mask": percent(unmasked), "with the mask": percent(moved)}
    if moved >= unmasked:
        return Found("wrong", figures)
    return Found("holds in part" if moved else "holds", figures)


WAYS: tuple[tuple[Version, str], ...] = (
    ("N1.5", "train"),
    ("N1.5", "sample"),
    ("N1.7", "train"),
    ("N1.7", "sample"),
)


@claim(13, "N1.5 in training only, which is what the note looked at", ways=WAYS[:1])
def handed_over_and_not_read(ways=WAYS) -> Found:
    """Is the token mask handed to the transformer, and does anybody read it?"""
    fits, figures = [], {}
    for version, way in ways:
        uses = trace(Released.of(version), way)
        handed = any(use.how == "handed" and use.mask == "backbone_attention_mask" for use in uses)
        read = bool(readers(uses, "backbone_attention_mask"))
        fits.append(handed and not read)
        said = "read" if read else "handed over, not read" if handed else "not even handed over"
        figures[f"{version}, {'training' if way == 'train' else 'sampling'}"] = said
    return Found("holds" if all(fits) else "holds in part" if any(fits) else "wrong", figures)


@claim(14, "N1.7 with its mask and no VL self-attention", version="N1.7", vl_layers=0)
def zeros_do_no_harm(version: Version = "N1.5", vl_layers: int = 1) -> Found:
    """The padded tokens are zeros when they come in. Is the answer the one without them?"""
    released = Released.of(version, vl_layers=vl_layers)
    real, tokens = released.is_real, released.backbone_output["backbone_features"]
    zeros = torch.where(real[..., None], tokens, 0.0)
    after = released.head.process_backbone_output(Bag(backbone_features=zeros))["backbone_features"].detach()
    size = after[~real].norm(dim=-1).mean() / after[real].norm(dim=-1).mean()
    padded = (~real).any(dim=1).nonzero().flatten().tolist()
    full, off = released.velocity(backbone_features=zeros), []
    for one in padded:
        # All samples get this one's real tokens, so that the head draws the same noise; only its own answer is kept.
        kept = {
            name: released.backbone_output[name][[one]][:, real[one]].repeat(len(real), *[1] * (value.ndim - 1))
            for name, value in released.backbone_output.items()
        }
        off.append(apart(full[one], released.velocity(**kept)[one]))
    figures = {
        "norm of padding next to real tokens, at the DiT": percent(size),
        "answer off by": percent(max(off) if max(off) > 1e-12 else 0),
    }
    return Found("holds" if max(off) < 1e-12 else "wrong", figures)


def hide_by_argument(block, looks, tokens, real):
    return block(looks, encoder_hidden_states=tokens, attention_mask=real)


def hide_by_matrix(block, looks, tokens, real):
    return block(looks, encoder_hidden_states=torch.diag_embed(real.double()) @ tokens)


@claim(16, "a mask that is written as one more matrix product", hide=hide_by_matrix)
def a_mask_costs_arithmetic(hide=hide_by_argument) -> Found:
    """How much more arithmetic is in the released cross-attention with a mask, forward and backward?"""
    released = Released.of("N1.5")
    block, tokens = released.head.model.transformer_blocks[0].attn1, released.backbone_output["backbone_features"]
    looks = draw(5, len(tokens), 5, 16)

    def operations(attend) -> int:
        # On a CPU the counter does not see PyTorch's fused attention.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            attend(block, looks, tokens, released.is_real).sum().backward()
        return counter.get_total_flops()

    without = operations(lambda block, looks, tokens, real: block(looks, encoder_hidden_states=tokens))
    more = operations(hide) / without
    figures = {"arithmetic with the mask": f"{more:.3f} times that without"}
    return Found("holds" if more > 1.001 else "unproven", figures)


@claim(17, "N1.5's weights for all of N1.7's head", older=head_n1_5, changes={})
def a_mask_needs_a_new_architecture(older=head_n1_7, changes=None) -> Found:
    """Do the weights of the DiT that drops the mask fit the one that obeys it, name for name and shape for shape?"""
    before = older(**({"use_alternate_vl_dit": False} if changes is None else changes)).state_dict()
    after = head_n1_7().state_dict()
    shared = set(before) & set(after)
    reshaped = sum(before[name].shape != after[name].shape for name in shared)
    missing, extra = len(set(after) - shared), len(set(before) - shared)
    figures = {
        "tensors in both": str(len(shared) - reshaped),
        "missing": str(missing),
        "too many": str(extra),
        "reshaped": str(reshaped),
    }
    return Found("holds" if missing or extra or reshaped else "wrong", figures)


@claim(18, "the mask as bool, by the name attention_mask", name="attention_mask", dtype=torch.bool)
def bringing_back_the_line(name: str = "encoder_attention_mask", dtype: torch.dtype = torch.int64) -> Found:
    """The released cross-attention called as the recipe says, beside the answer without the padded tokens."""
    released = Released.of("N1.5")
    block, real = released.head.model.transformer_blocks[0].attn1, released.is_real
    tokens = released.backbone_output["backbone_features"]
    looks = draw(5, len(tokens), 5, 16)

    def off(**mask) -> float:
        answer = block(looks, encoder_hidden_states=tokens, **mask)
        alone = [block(looks[[i]], encoder_hidden_states=tokens[[i]][:, row]) for i, row in enumerate(real)]
        return apart(answer, torch.cat(alone))

    def tried(**mask) -> str:
        try:
            return percent(round(off(**mask), 12))
        except RuntimeError:
            return "an error"

    with torch.no_grad():
        by_recipe = tried(**{name: real.to(dtype)})
        figures = {
            "off without a mask": tried(),
            f"off by {name}": by_recipe,
            **{
                f"off by attention_mask, {str(kind).removeprefix('torch.')}": tried(attention_mask=real.to(kind))
                for kind in (torch.int64, torch.float64, torch.bool)
            },
        }
    return Found("holds" if by_recipe == "0" else "wrong", figures)


# ------------------------------------------------------------------------------------------------- both, and neither


@claim(19, "one decoder of 32 in place of the two", decoders=ONE_OF_32)
def one_is_used_the_other_is_not(decoders=ARM_AND_CLAW) -> Found:
    """We delete one mask at a time from the fork's program: does the loss move? And is there padding in its prompts?"""
    policy = note_policy(decoders=decoders)
    action = not torch.equal(policy.loss(), with_masking(policy, loss="open").loss())
    seen = policy.observation
    everything = replace(seen.vl, backbone_attention_mask=torch.ones_like(seen.vl.backbone_attention_mask))
    vl = not torch.equal(policy.loss(), replace(policy, observation=replace(seen, vl=everything)).loss())
    prompts = ["put the red cube into the box", "open the drawer", "wave"]
    packed = pack(draw(1, 3, 16, 16), prompts)
    figures = {
        "loss without the action mask": "moves" if action else "stays",
        "loss without the token mask": "moves" if vl else "stays",
        "of three prompts LeRobot 0.4.4 keeps": "the first" if packed.language == prompts[0] else packed.language,
    }
    verdicts = {(True, False): "holds", (False, True): "wrong"}
    return Found(verdicts.get((action, vl), "holds in part"), figures)


@claim(22, "a chunk that ends before its episode does", recorded=16)
def padded_steps(recorded: int = 10) -> Found:
    """A chunk runs over the end of its episode: what does LeRobot's packing step say of the copied steps?"""
    packed = pack(draw(1, 3, recorded, 16), ["wave"] * 3)
    says_real = packed.action_mask.any(dim=-1)[0]
    copies = packed.action[0].eq(packed.action[0, recorded - 1]).all(dim=-1) & says_real
    counted = says_real[recorded:].sum().item()
    share = copies.sum().item() / says_real.sum().item()
    figures = {
        "recorded steps": str(recorded),
        "real steps, says the mask": str(says_real.sum().item()),
        "part of the loss on the last recorded action": percent(share),
    }
    return Found("missing" if counted else "holds", figures)
