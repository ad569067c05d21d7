"""Does the sampler show the network what training has shown it? Asked of policies of a few lines."""

import pytest
import torch
from audit_cases import DIM_MASK, STEP_MASK, Toy, toy_batch, toy_padding
from torch import nn

from groot_teach.audit import Answer, Parity, audit_masks
from groot_teach.audit.names import PARITY
from groot_teach.audit.report import percent

REAL = DIM_MASK[:, None] & STEP_MASK[..., None]
EVERY = "dims and steps"
BATCH = toy_batch()


class Shown(nn.Module):
    """A flow policy whose network is a part of its own; `training` and `sampling` make what it is called with.

    Both take noisy actions and the batch, and return the arguments by place and those by name.
    """

    def __init__(self, training, sampling, *, starts_at=0.0):
        super().__init__()
        self.network, self.training_gives, self.sampling_gives = Sum(), training, sampling
        self.starts_at = starts_at

    def answer(self, b):
        share = b["t"][:, None, None] if self.starts_at == 0 else 1 - b["t"][:, None, None]
        given, named = self.training_gives(torch.lerp(self.noise(b), b["actions"], share), b)
        said = self.network(*given, **named)
        return Answer(said, lambda other: (other * REAL).square().sum() / REAL.sum())

    def sample(self, b):
        given, named = self.sampling_gives(self.noise(b), b)
        said = self.network(*given, **named)
        self.network(said)  # a second call, which is not compared
        return said

    def noise(self, b):
        return b["noise"]


class DrawsNoise(Shown):
    """Training draws something else first, so its noise is not the sampler's, though both begin at one seed."""

    def answer(self, b):
        torch.rand(2)
        return super().answer(b)

    def noise(self, b):
        return torch.randn_like(b["actions"])


class Sum(nn.Module):
    def forward(self, x, *more, **named):
        return sum((one.double().mean() for one in (*more, *named.values()) if torch.is_tensor(one)), x)


def real_of(b):
    return b["dim_mask"][:, None] & b["step_mask"][..., None]


def masked(x, b):
    return (x * real_of(b),), {}


def looks(policy, parity=None, **more):
    described = {"batch": BATCH, "padding": toy_padding()[:2], "module": policy, "sample": policy.sample} | more
    report = audit_masks(policy.answer, parity=parity, **described)
    return [look for look in report.looks if look.stage == PARITY]


NETWORK = Parity("network", time="t")

# ------------------------------------------------------------------------------------------------------- by padding


def by_padding(*open_at, **more):
    toy = Toy(*open_at)
    return looks(toy, **({"padding": toy_padding()} | more))


def test_without_a_leak_in_either_there_is_nothing_to_compare():
    assert by_padding() == []


def test_padding_that_training_reads_and_the_sampler_does_not_is_a_mismatch():
    (look,) = by_padding("encoder")
    assert (look.axis, look.probe, look.kind) == ("dims", "parity", "mismatch")
    assert 0 < look.size < 1
    assert f"moves by {percent(look.size)}, and not" in look.why
    assert "by what padding holds in 'noise', what is predicted in training" in look.why
    assert look.why.endswith("and not what is sampled: the network is shown two different things")


def test_padding_that_the_sampler_reads_and_training_does_not_is_a_mismatch():

    def sum_of_dims(x, b):
        return ((x * b["step_mask"][..., None]).sum(2, keepdim=True) + 0 * x,), {}

    (look,) = looks(Shown(masked, sum_of_dims))
    assert look.axis == "dims"
    assert look.size > 0
    assert f"what is sampled moves by {percent(look.size)}, and not" in look.why
    assert ", and not what is predicted in training" in look.why


def test_padding_that_both_read_is_a_leak_and_no_mismatch():
    assert by_padding("encoder", "sampler") == []


def test_what_only_one_of_both_is_given_is_no_mismatch():
    """Training reads padded actions, and a sampler is given none."""
    policy = Shown(lambda x, b: ((b["actions"].sum((1, 2), keepdim=True) + x * real_of(b),), {}), masked)
    assert looks(policy) == []


def test_noise_that_both_draw_themselves_is_compared_as_well():
    policy = DrawsNoise(lambda x, b: ((x.sum(2, keepdim=True) + x * real_of(b),), {}), masked)
    (look,) = looks(policy)
    assert look.size > 0
    assert "'drawn 1'" in look.why


def test_noise_that_only_training_draws_is_not_compared_with_the_samplers_entry():
    class DrawsInTraining(Shown):
        def answer(self, b):
            return super().answer(b | {"noise": torch.randn_like(b["noise"])})

    def with_padding(x, b):
        return (x.sum(2, keepdim=True) + x * real_of(b),), {}

    assert looks(DrawsInTraining(with_padding, masked)) == []


def test_a_sampler_that_could_not_be_asked_about_padding_is_not_compared():
    class Fussy(Toy):
        def sample(self, b):
            if (b["noise"] != BATCH["noise"]).any():
                raise ValueError("other noise")
            return super().sample(b)

    assert looks(Fussy("encoder")) == []


def test_where_the_comparison_fails_it_says_so():

    class Fussy(Toy):
        def sample(self, b):
            if (b["actions"] * REAL != BATCH["actions"] * REAL).any():
                raise ValueError("other actions")
            return super().sample(b)

    toy = Fussy("encoder")
    (look,) = looks(toy)
    assert (look.axis, look.size, look.kind) == ("dims", None, "mismatch")
    assert "other actions" in look.why


# -------------------------------------------------------------------------------------------------------- by inputs


def test_a_network_that_is_given_the_same_in_both_is_no_mismatch():
    (look,) = looks(Shown(masked, masked), NETWORK)
    assert (look.axis, look.probe, look.kind, look.size) == (EVERY, "parity", "mismatch", 0)


def test_another_scale_is_a_mismatch_of_so_many_per_cent():
    (look,) = looks(Shown(masked, lambda x, b: ((1.5 * x * real_of(b),), {})), NETWORK)
    assert look.axis == EVERY
    assert look.size == pytest.approx(0.5)
    assert look.why.startswith("input x of 'network'")
    assert look.why.endswith("with the same noise, moves by 50 %")


def test_what_differs_in_padding_alone_names_its_axis():
    def noise_in_padded(axis_mask):
        return lambda x, b: ((torch.where(axis_mask, x * real_of(b), x),), {})

    for axis, mask in (("dims", DIM_MASK[:, None]), ("steps", STEP_MASK[..., None])):
        found = [one for one in looks(Shown(masked, noise_in_padded(mask)), NETWORK) if "input x" in one.why]
        assert [one.axis for one in found] == [axis]
        assert found[0].why.endswith(f"they differ in padded {axis} alone")


def test_every_input_is_compared_by_place_and_by_name():
    policy = Shown(
        lambda x, b: ((x * real_of(b), b["t"] * 0), {"heard": b["step_mask"], "how": "text"}),
        lambda x, b: ((x * real_of(b), b["t"] * 0), {"heard": ~b["step_mask"], "how": "texts"}),
    )
    sizes = {one.why.split(" of ")[0]: one.size for one in looks(policy, NETWORK)}
    assert [*sizes] == ["input x", "input 1", "input heard"]
    assert sizes["input x"] == sizes["input 1"] == 0
    assert sizes["input heard"] > 0


def test_whole_numbers_are_compared_as_well():
    ids = torch.tensor([1, 2, 3])
    policy = Shown(lambda x, b: ((x * real_of(b), ids), {}), lambda x, b: ((x * real_of(b), ids + 1), {}))
    same, other = looks(policy, NETWORK)
    assert same.size == 0
    assert other.size > 0


class Named(nn.Module):
    def forward(self, x, time=None, mask=None):
        return x if mask is None else x + time.mean() * 0 + mask.double().mean()


@pytest.mark.parametrize(
    "sampling",
    [
        lambda x, b: ((x, b["t"] * 0, real_of(b)), {}),
        lambda x, b: ((x,), {"mask": real_of(b), "time": b["t"] * 0}),
        lambda x, b: ((x, torch.tensor(0.0), real_of(b)), {}),
        lambda x, b: ((x, torch.zeros(1)), {"mask": real_of(b)}),
    ],
    ids=["places", "names", "one time", "one time in a list"],
)
@pytest.mark.parametrize("right", [True, False])
def test_an_input_is_the_same_by_its_place_and_by_its_name_and_one_number_stands_for_each_sample(sampling, right):
    mask = real_of if right else lambda b: ~real_of(b)
    policy = Shown(lambda x, b: ((), {"x": x, "time": b["t"], "mask": mask(b)}), sampling)
    policy.network = Named()
    sizes = {one.why.split(" of ")[0]: bool(one.size) for one in looks(policy, NETWORK)}
    assert sizes == {"input x": False, "input time": False, "input mask": not right}


@pytest.mark.parametrize("how", ["in one call", "without it first", "with it first"])
@pytest.mark.parametrize("right", [True, False])
def test_guidance_shows_the_network_a_pair_that_training_has_not(how, right):
    """The condition is the flow time here. Where it comes first, the first call is compared as ever."""

    class Guided(Shown):
        def sample(self, b):
            x, with_it, without = self.noise(b) * (real_of(b) if right else 1), b["t"] * 0, b["t"] * 0 - 1
            if how == "in one call":
                return self.network(torch.cat([x, x]), torch.cat([with_it, without])).chunk(2)[0]
            calls = [self.network(x, time) for time in (with_it, without)[:: 1 if how == "with it first" else -1]]
            return sum(calls)

    found = looks(Guided(lambda x, b: ((x * real_of(b), b["t"]), {}), None), NETWORK)
    pair = [look for look in found if "two versions of the batch, as guidance does" in look.why]
    if how == "with it first":
        assert not pair
        assert any(look.size for look in found) == (not right)
    elif how == "in one call" or right:
        assert [look.size for look in pair] == [None]
    else:
        assert not pair
        assert any(look.size for look in found)


@pytest.mark.parametrize(
    ("sampling", "shapes"),
    [
        (lambda x, b: ((x * real_of(b),), {}), "(3,) in training and none in the sampler's first call"),
        (lambda x, b: ((x * real_of(b), b["t"][:, None]), {}), "(3,) in training and (3, 1) in the sampler's first"),
    ],
    ids=["left out", "another shape"],
)
def test_an_input_that_one_of_both_lacks_is_a_mismatch(sampling, shapes):
    _, look = looks(Shown(lambda x, b: ((x * real_of(b), b["t"]), {}), sampling), NETWORK)
    assert look.size == torch.inf
    assert look.axis == EVERY
    assert shapes in look.why


def test_training_is_asked_at_the_time_at_which_the_sampler_begins():
    policy = Shown(masked, masked, starts_at=1.0)
    (look,) = looks(policy, Parity("network", time="t", at=1))
    assert look.size == 0
    (look,) = looks(policy, NETWORK)
    assert look.size > 0


def test_a_sampler_that_draws_is_given_the_noise_of_training():
    (look,) = looks(DrawsNoise(masked, masked), NETWORK)
    assert look.size == 0


def test_a_network_that_is_not_called_could_not_be_looked_at():
    policy = Shown(masked, masked)
    policy.add_module("unused", nn.Identity())
    (look,) = looks(policy, Parity("unused", time="t"))
    assert look.size is None
    assert look.why == "'unused' is not called with a tensor"


def test_a_network_that_the_sampler_does_not_call_is_a_mismatch():
    class Otherwise(Shown):
        def sample(self, b):
            return self.noise(b) * real_of(b)

    (look,) = looks(Otherwise(masked, None), NETWORK)
    assert look.size == torch.inf
    assert look.why.endswith("has the shape (3, 5, 7) in training and none in the sampler's first call")


@pytest.mark.parametrize("right", [True, False])
def test_a_network_that_is_no_python_has_inputs_by_their_places(right):
    class Sine(nn.Module):
        forward = staticmethod(torch.sin)

    policy = Shown(masked, masked if right else lambda x, b: ((x * real_of(b) * 2,), {}))
    policy.network = Sine()
    (look,) = looks(policy, NETWORK)
    assert bool(look.size) is not right
    assert look.why.startswith("input 0 of 'network', from training")


def test_a_policy_that_fails_at_that_time_could_not_be_looked_at():
    def fails_at_0(x, b):
        if (b["t"] == 0).all():
            raise ValueError("no such time")
        return masked(x, b)

    (look,) = looks(Shown(fails_at_0, masked), NETWORK)
    assert look.size is None
    assert "no such time" in look.why


def test_nothing_stays_hooked():
    policy = Shown(masked, masked)
    looks(policy, NETWORK)
    assert not policy.network._forward_pre_hooks


@pytest.mark.parametrize(
    ("parity", "message"),
    [
        (Parity("net", time="t"), r"parity: got no module 'net' in Shown; see named_modules\(\) of your module"),
        (Parity("network", time="time"), "parity: got no flow time 'time', expected one of actions, "),
    ],
)
def test_names_that_do_not_fit_are_named(parity, message):
    with pytest.raises(ValueError, match=message):
        looks(Shown(masked, masked), parity)


def test_without_a_module_there_is_no_network():
    policy = Shown(masked, masked)
    with pytest.raises(ValueError, match="parity: got no module 'network' in None"):
        looks(policy, NETWORK, module=None)
