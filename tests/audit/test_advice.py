"""What a report says that one should look at next."""

from typing import get_args

import pytest

from groot_teach.audit import Look, MaskReport
from groot_teach.audit.advice import NEXT, what_next
from groot_teach.audit.names import PARITY, STAGES, Kind


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("stage", [*STAGES, PARITY, "a stage of one's own"])
def test_each_finding_says_what_to_look_at_next(stage, kind):
    if kind != "mismatch" or stage == PARITY:
        advice = MaskReport((Look(stage, "views", "perturb", 0.5, kind),)).findings[0].next
        assert len(advice) > 30
        assert advice in str(MaskReport((Look(stage, "views", "perturb", 0.5, kind),)))


def test_every_advice_is_given_somewhere():
    places = [(stage, axis, kind) for stage in (*STAGES, PARITY, "encoder") for axis in AXES for kind in get_args(Kind)]
    assert {what_next(*place) for place in places} - {""} == {advice for *_, advice in NEXT}


AXES = ("dims", "steps", "tokens", "samples", "neighbours")


def test_advice_is_for_the_stage_the_axis_and_the_kind():
    assert "number of entries that were summed" in what_next("loss count", "dims and steps", "leak")
    assert "its own document alone" in what_next("prediction", "neighbours", "leak")
    assert "batch normalisation" in what_next("sampler", "samples", "leak")
    assert what_next("loss sum", "steps", "leak") != what_next("loss sum", "steps", "lost")


@pytest.mark.parametrize(
    ("place", "start"),
    [
        (("prediction", "dims", "leak"), "set the padded dims of what the network is given to 0"),
        (("prediction", "steps", "leak"), "look at each layer in which steps read each other"),
        (("prediction", "tokens", "leak"), "follow the mask from the batch to each layer"),
        (("prediction", "samples", "leak"), "look for what mixes the samples"),
        (("prediction", "tokens", "lost"), "print the mask where the network applies it"),
        (("loss sum", "steps", "leak"), "leave padded entries out before errors are squared"),
        (("loss sum", "steps", "lost"), "print the mask of the loss"),
        (("sampler", "dims", "leak"), "look at what the sampler masks"),
        (("sampler", "tokens", "lost"), "look for what the sampler does not pass on"),
        (("sampled padding", "dims", "leak"), "set padded dims to 0 after the sampler's last step"),
        (("training and sampling", "dims", "mismatch"), "build masks and inputs of the network in one function"),
        (("loss sum", "dims", "not finite"), "look for an attention row that may read nothing"),
        (("encoder", "steps", "leak"), "look at the layers of this stage"),
        (("encoder", "steps", "lost"), "look at the masks of this stage"),
    ],
)
def test_the_most_exact_advice_is_the_one_that_is_given(place, start):
    assert what_next(*place).startswith(start)
