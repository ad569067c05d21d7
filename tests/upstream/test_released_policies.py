"""LeRobot's other policies are built, run, and answer to their batch: what an auditor can then rely on."""

import sys

import pytest
import torch

from evidence.released import OLDER, missing, policies
from evidence.released.policies import DIMS, EVERY, padded_steps, real_dims


@pytest.fixture(params=EVERY, scope="module")
def policy(request):
    # The check in `conftest.py` is made for each test, which is later than this.
    if why := missing():
        pytest.skip(why)
    return EVERY[request.param]()


def real_entries(policy) -> torch.Tensor:
    """`batch, step, dim`, bool: the real entries of a policy's actions."""
    action = policy.batch["action"]
    every_robot = (torch.arange(action.shape[2]) < DIMS).expand(len(action), -1)
    dims = real_dims(action.shape[2]) if policy.dims else every_robot
    return dims[:, None] & ~padded_steps(action.shape[1])[..., None]


def part(policy) -> torch.nn.Module:
    here = policy.module
    for name in policy.prediction.split("."):
        here = here[name] if isinstance(here, torch.nn.ModuleDict) else getattr(here, name)
    return here


def test_the_loss_is_one_finite_number_and_the_same_at_each_call(policy):
    loss = policy.loss(policy.batch)
    assert loss.shape == ()
    assert loss.isfinite()
    torch.rand(1)
    assert torch.equal(loss, policy.loss(policy.batch))


def test_the_loss_changes_when_real_actions_change(policy):
    other = torch.where(real_entries(policy), policy.batch["action"] + 1, policy.batch["action"])
    assert not torch.isclose(policy.loss(policy.batch), policy.loss(policy.batch | {"action": other}), rtol=1e-3)


def test_what_is_named_as_the_prediction_runs_once_and_the_loss_depends_on_it(policy):
    seen = []

    def as_a_leaf(module, args, output):
        several = isinstance(output, dict)
        seen.append((output["predicted_action"] if several else output).detach().requires_grad_())
        return output | {"predicted_action": seen[-1]} if several else seen[-1]

    handle = part(policy).register_forward_hook(as_a_leaf)
    loss = policy.loss(policy.batch)
    handle.remove()
    (prediction,) = seen
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert gradient.any()
    arranged = policy.arrange({"predicted_action": prediction} if "VQ-BeT" in policy.name else prediction)
    horizon = 3 if "VQ-BeT" in policy.name else policy.batch["action"].shape[1]
    assert arranged.shape[0] == 3
    assert arranged.shape[-2:] == (horizon, policy.batch["action"].shape[2]) or policy.dims


def without_padding(policy, name: str) -> dict:
    """The batch with a mask that says that everything is real."""
    mask = policy.batch[name]
    kept = torch.zeros_like(mask) if name.endswith("is_pad") else torch.ones_like(mask)
    assert not torch.equal(mask, kept)
    return policy.batch | {name: kept}


def test_the_entries_that_say_what_is_padding_are_read(policy):
    for name in filter(None, (policy.steps, policy.dims, policy.tokens)):
        loss = policy.loss(without_padding(policy, name))
        assert not torch.isclose(policy.loss(policy.batch), loss, rtol=1e-5), name


def test_action_is_pad_is_read_if_and_only_if_it_is_named(policy):
    if "action_is_pad" in policy.batch:
        loss = policy.loss(without_padding(policy, "action_is_pad"))
        assert torch.equal(policy.loss(policy.batch), loss) == (policy.steps != "action_is_pad")
    else:
        assert policy.steps == "action_horizon_is_pad"


def test_samples_are_finite_and_the_same_at_each_call(policy):
    if policy.sample is None:
        assert policy.name.split()[0] in ("FastWAM", "MolmoAct2", "LingBot-VA", "Wall-X")
    else:
        made = policy.sample(policy.batch)
        assert made.isfinite().all()
        assert torch.equal(made, policy.sample(policy.batch))


def test_a_call_leaves_the_batch_and_torchs_settings_as_they_were(policy):
    before = dict(policy.batch)
    values = {key: value.clone() for key, value in before.items() if torch.is_tensor(value)}
    state = torch.get_rng_state()
    policy.loss(policy.batch)
    assert policy.batch.keys() == before.keys()
    assert all(policy.batch[key] is value for key, value in before.items())
    assert all(torch.equal(policy.batch[key], value) for key, value in values.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == torch.float32


def test_every_part_of_a_policy_is_code_of_its_release_or_of_torch_and_diffusers_or_a_named_stand_in(policy):
    homes = {type(each).forward.__globals__["__file__"] for each in policy.module.modules()}
    assert any(f"/lerobot-{policy.release}/" in home for home in homes)
    assert policies.__file__ not in homes or policy.alone
    places = ("torch", "diffusers", f"lerobot-{policy.release}")
    assert all(any(f"/{place}/" in home for place in places) for home in homes - {policies.__file__})


def test_building_leaves_nothing_among_the_modules_or_the_finders():
    finders = [*sys.meta_path]
    policies.act(), policies.act(OLDER)
    assert not {name.split(".")[0] for name in sys.modules} & {"lerobot", "draccus"}
    assert sys.meta_path == finders


def test_what_only_has_a_name_says_so_when_it_is_called():
    with policies.released(OLDER):
        import torchvision

        with pytest.raises(NotImplementedError, match=r"models\.resnet18 is not installed here, and was called"):
            torchvision.models.resnet18()
