"""The names of a report, as users write them down in their tests and as the book calls its leaks."""

from typing import get_args

from groot_teach.audit import LEAK_OF_STAGE, Look, MaskReport
from groot_teach.audit.names import COLUMNS, NEIGHBOURS, ORDER, PARITY, STAGES, Kind, Probe
from groot_teach.masks import LEAKS


def test_the_words_that_users_write_down_in_their_tests_stay_what_they_are():
    assert get_args(Probe) == ("perturb", "compact", "gradient", "unit error", "read off", "parity")
    assert get_args(Kind) == ("leak", "lost", "not finite", "mismatch")
    assert (*STAGES, PARITY) == (
        "prediction", "loss sum", "loss count", "sampler", "sampled padding", "training and sampling",
    )  # fmt: skip
    assert (*COLUMNS, NEIGHBOURS) == ("dims", "steps", "tokens", "samples", "neighbours")


def test_the_probe_whose_size_is_easiest_to_read_is_named_first():
    assert ORDER == ("read off", "perturb", "gradient", "unit error", "compact", "parity")
    assert {*ORDER} == {*get_args(Probe)}


def test_each_leak_of_the_book_has_its_stage():
    assert set(LEAK_OF_STAGE.values()) == {leak.name for leak in LEAKS}
    for stage, name in LEAK_OF_STAGE.items():
        assert MaskReport((Look(stage, "dims", "perturb", 0.5),)).leaks == (name,)
