"""How far the outputs of the toy policy move when all of its padding is garbled, for each setting of the doors.

The policy has random weights (see `policy`), so the numbers show which doors let padding through, and not how much a
trained policy would suffer. They are stored in `garbled.json`, because a page looks them up;
`python -m groot_teach.chapters.inside.garbled` computes them again in a minute.
"""

import argparse
import json
from functools import cache
from itertools import product
from pathlib import Path

import torch

from groot_teach.chapters.inside.policy import GARBLES, OUTPUTS, VERSIONS, Policy, toy_policy
from groot_teach.masks import LEAKS, SWITCHES, Masking, with_switches

PARTS = ("N1.5", "N1.6", "N1.7")
"""The versions whose heads differ in their parts. Pull request 741 and the strict setting have the parts of N1.7."""

_BEFORE_THE_LOSS = ("encoder_input", "self_attention", "vl_self_attention", "cross_attention")
DEPENDS = {
    "predictions": ("velocity, recorded entries", _BEFORE_THE_LOSS),
    "loss": ("loss", (*_BEFORE_THE_LOSS, "loss")),
    "actions": ("actions, recorded entries", (*_BEFORE_THE_LOSS, "sampler")),
}
"""For each number of the picture: the output of the policy that moves, and the switches that it depends on.

What the loss is divided by is not among them: it divides the loss before the garble and after it alike.
"""

STORED = Path(__file__).with_name("garbled.json")


def positions(parts: str) -> dict[str, tuple[str, ...]]:
    """The positions that each switch can take in a head with these parts, in the order of the stored numbers.

    N1.6 has no VL self-attention, so that switch has the one position `absent`. The sampler of Octo, which draws the
    noise of training again (`renoise`), belongs to no version of GR00T and is left out.
    """
    if parts not in PARTS:
        raise ValueError(f"parts: got {parts!r}, expected one of {', '.join(PARTS)}")
    everything = {leak.switch: (*leak.leaks, *leak.holds) for leak in LEAKS}
    vl = ("absent",) if parts == "N1.6" else ("open", "closed")
    return everything | {"vl_self_attention": vl, "sampler": ("free", "zero")}


def with_all_padding_garbled(policy: Policy) -> Policy:
    """Other numbers in padded dims, steps and tokens and in the absent camera.

    Padded state dims stay as they are: no version has a mask for them, so they have no door.
    """
    for name, garble in GARBLES.items():
        if name != "padded state":
            policy = garble(policy)
    return policy


@cache
def _both(parts: str) -> tuple[Policy, Policy]:
    policy = toy_policy(parts)
    return policy, with_all_padding_garbled(policy)


@torch.no_grad()
def moved(parts: str, masking: Masking, number: str) -> float:
    """How far one of `DEPENDS` moves when all padding is garbled, as a share of its size, rounded to four digits."""
    policy, other = _both(parts)  # they share one head
    policy.head.masking = masking
    output = OUTPUTS[DEPENDS[number][0]]
    before, after = output(policy), output(other)
    return round(((after - before).norm() / before.norm()).item(), 4)


def counted_entries(parts: str) -> dict[str, int]:
    """For each position of the loss's switch the number of entries that it sums; `all` is the number of all entries."""
    policy, _ = _both(parts)
    counts = {"all": policy.batch.actions.numel()}
    for position in positions(parts)["loss"]:
        policy.head.masking = with_switches(VERSIONS[parts][1], loss=position)
        counts[position] = int(policy.head.counted(policy.batch).sum())
    return counts


def settings(parts: str, number: str) -> list[Masking]:
    """Each setting of the switches that `number` depends on, in the order of the stored numbers."""
    known = positions(parts)
    switches = DEPENDS[number][1]
    return [
        with_switches(VERSIONS[parts][1], **dict(zip(switches, setting, strict=True)))
        for setting in product(*(known[switch] for switch in switches))
    ]


def place_of(parts: str, masking: Masking, number: str) -> int:
    """Where the number of this setting is stored.

    Raises:
        ValueError: a head with these parts cannot have this setting.
    """
    known, place = positions(parts), 0
    for switch in SWITCHES:
        if getattr(masking, switch) not in known[switch]:
            expected = ", ".join(map(repr, known[switch]))
            raise ValueError(f"{switch}: got {getattr(masking, switch)!r}, expected one of {expected} in {parts}")
    for switch in DEPENDS[number][1]:
        place = place * len(known[switch]) + known[switch].index(getattr(masking, switch))
    return place


@cache
def stored() -> dict[str, dict[str, list[float]]]:
    """For each kind of head and each number of `DEPENDS`, how far it moves in each of `settings`."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=STORED, help="where to write the numbers")
    options = parser.parse_args(arguments)
    numbers = {
        parts: {number: [moved(parts, masking, number) for masking in settings(parts, number)] for number in DEPENDS}
        for parts in PARTS
    }
    options.out.write_text(json.dumps(numbers, separators=(",", ":")).replace("],", "],\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
