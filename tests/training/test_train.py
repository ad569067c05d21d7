"""Training: one gradient whatever the batch is cut into, and a run that goes on where it was stopped."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train_cases import CONFIG, RECIPE, TASK, Lopsided, small_head

from groot_teach.flow import flow_time_n1_7, sample_beta
from groot_teach.head.action_head import ActionHead
from groot_teach.masks import STRICT, with_switches
from groot_teach.training.train import Recipe, backward_once, fit, moved, rank_and_processes, sum_over_processes


def pieces_of(task, cuts, count=6, seed=0):
    """One batch, cut into samples `cuts[0]:cuts[1]`, and so on."""
    generator = torch.Generator().manual_seed(seed)
    observation, batch = task.draw(count, generator)
    noise = torch.randn(batch.actions.shape, dtype=torch.float64, generator=generator)
    t = flow_time_n1_7(sample_beta(count, generator))
    like = torch.zeros(1, dtype=torch.float64)
    edges = [0, *cuts, count]
    shares = [slice(a, b) for a, b in itertools.pairwise(edges)]
    return [tuple(moved(part, share, like) for part in (observation, batch, noise, t)) for share in shares]


def gradients(head):
    return {name: weight.grad.clone() for name, weight in head.named_parameters()}


# ------------------------------------------------------------------------------------------------------- one gradient


@pytest.mark.parametrize("denominator", ["valid", "valid_plus_eps", "all"])
@pytest.mark.parametrize("cuts", [(), (1,), (2, 3), (1, 2, 3, 4, 5)])
def test_pieces_give_the_loss_and_the_gradient_of_the_whole_batch(cuts, denominator):
    """The single samples at the end are padding altogether in every second place."""
    head = small_head(with_switches(STRICT, loss_denominator=denominator))
    ((observation, batch, noise, t),) = pieces_of(Lopsided(), ())
    whole = head.loss(observation, batch, noise, t).loss
    whole.backward()
    expected = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in head.named_parameters()
    }
    loss = backward_once(head, pieces_of(Lopsided(), cuts))
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close(gradients(head), expected)


def test_a_mean_of_means_is_another_gradient():
    """The control of the test above: in pieces with 1 + 4 and with 8 real steps, it would not pass."""
    head = small_head()
    pieces = pieces_of(Lopsided(), (4,))
    once = backward_once(head, pieces)
    at_once = gradients(head)
    head.zero_grad()
    losses = [head.loss(*piece).loss / len(pieces) for piece in pieces]
    sum(losses).backward()
    assert abs(sum(losses).item() - once.item()) > 1e-3
    assert any((weight.grad - at_once[name]).abs().max() > 1e-3 for name, weight in head.named_parameters())


def test_what_an_earlier_step_left_in_the_gradients_is_gone():
    head = small_head()
    backward_once(head, pieces_of(TASK, ()))
    first = gradients(head)
    backward_once(head, pieces_of(TASK, ()))
    torch.testing.assert_close(gradients(head), first, rtol=0, atol=0)


def test_nothing_that_counts_is_an_error_unless_the_divisor_is_something_else():
    nothing = [(o, replace(b, step_mask=torch.zeros_like(b.step_mask)), n, t) for o, b, n, t in pieces_of(TASK, ())]
    with pytest.raises(ValueError, match="action_mask: got no real entry, expected at least one"):
        backward_once(small_head(), nothing)
    for denominator in ("all", "valid_plus_eps"):
        assert backward_once(small_head(with_switches(STRICT, loss_denominator=denominator)), nothing) == 0


def test_alone_a_sum_over_processes_is_the_number_itself():
    number = torch.tensor(3.0)
    assert rank_and_processes() == (0, 1)
    assert sum_over_processes(number) is number


# ------------------------------------------------------------------------------------------------- several processes


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.weekly)])
def test_several_processes_train_what_one_trains(tmp_path, processes):
    """Real ones, over gloo. Among two, every step of the second is padding altogether: it has nothing to count."""
    script = Path(__file__).parents[1] / "support" / "two_processes.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run([*torchrun, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    alone = small_head()
    history = fit(alone, Lopsided(), RECIPE)
    for rank in range(processes):
        theirs = torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True)
        torch.testing.assert_close(theirs["losses"], history.losses, rtol=1e-9, atol=0)
        torch.testing.assert_close(theirs["head"], dict(alone.state_dict()), rtol=0, atol=1e-6)
    # The checkpoint that the first of them wrote is one process's checkpoint, too.
    again = small_head()
    assert fit(again, Lopsided(), RECIPE, checkpoint=tmp_path / "checkpoint.pt").losses == theirs["losses"]
    torch.testing.assert_close(dict(again.state_dict()), theirs["head"], rtol=0, atol=0)


def test_in_two_processes_one_has_nothing_that_counts():
    _, batch = Lopsided().draw(6, torch.Generator().manual_seed(0))
    assert batch.step_mask[0::2].sum(dim=1).tolist() == [1, 4, 8]
    assert not batch.step_mask[1::2].any()


# --------------------------------------------------------------------------------------------------------------- fit


def test_training_is_the_same_in_micro_batches():
    whole, cut = small_head(), small_head()
    losses = fit(whole, TASK, RECIPE).losses
    assert losses == pytest.approx(fit(cut, TASK, replace(RECIPE, micro_batches=4)).losses, rel=1e-9)
    torch.testing.assert_close(dict(cut.state_dict()), dict(whole.state_dict()), rtol=0, atol=1e-9)


def test_a_head_learns_the_task():
    head = small_head()
    losses = fit(head, TASK, Recipe(steps=120, batch_size=24, learning_rate=0.01, seed=0)).losses
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_seed_decides_what_is_drawn_and_nothing_global_is_touched():
    before = torch.get_rng_state()
    losses = [fit(small_head(), TASK, replace(RECIPE, seed=seed)).losses for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.get_rng_state(), before)
    assert RECIPE.generator_at(1).initial_seed() != RECIPE.generator_at(2).initial_seed()


def test_fit_watches_in_eval_mode_without_gradients_and_leaves_eval_mode_behind():
    head, seen = small_head(), []

    def watch(head):
        seen.append((head.training, torch.is_grad_enabled()))
        return len(seen)

    history = fit(head, TASK, RECIPE, watch=watch, every=2)
    assert history.watched == {2: 1, 4: 2, 5: 3}
    assert seen == [(False, False)] * 3
    assert not head.training


def test_a_watching_eye_changes_nothing():
    watched = fit(small_head(), TASK, RECIPE, watch=lambda head: head.dit.out.weight.sum().item(), every=1)
    assert watched.losses == fit(small_head(), TASK, RECIPE).losses


def test_a_bar_is_shown_the_steps_that_are_left(tmp_path):
    shown = []

    def bar(steps):
        shown.append(list(steps))
        return shown[-1]

    checkpoint = tmp_path / "run.pt"
    fit(small_head(), TASK, RECIPE, checkpoint=checkpoint, progress=bar)
    fit(small_head(), TASK, RECIPE, checkpoint=checkpoint, progress=bar)
    assert shown == [[0, 1, 2, 3, 4], []]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_head_trains_in_its_own_dtype_on_its_own_device(device, dtype):
    head = small_head().to(device, dtype)
    losses = fit(head, TASK, RECIPE).losses
    assert {weight.dtype for weight in head.parameters()} == {dtype}
    assert losses == pytest.approx(fit(small_head(), TASK, RECIPE).losses, rel=1e-3)


def test_the_learning_rate_rises_then_falls_to_almost_nothing():
    recipe = Recipe(steps=100, batch_size=1, learning_rate=0.5, seed=0)
    rates = [recipe.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.5 / 20)
    assert rates[19:61] == [0.5] * 42
    assert rates[80] == pytest.approx(0.25)
    assert rates[99] == pytest.approx(0.5 / 40)


# -------------------------------------------------------------------------------------------------------- checkpoints


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_stopped_run_goes_on_with_the_same_numbers(tmp_path, at):
    """Between two looks, or at one: what was not stored is trained again, to the same bit."""
    checkpoint = tmp_path / "run.pt"

    def stop(steps):
        for step in steps:
            if step == at:
                raise Stop
            yield step

    def run(head, **more):
        return fit(head, TASK, RECIPE, watch=lambda head: head.dit.out.weight.sum().item(), every=2, **more)

    whole, broken, resumed = small_head(), small_head(), small_head(seed=7)
    expected = run(whole)
    with pytest.raises(Stop):
        run(broken, checkpoint=checkpoint, progress=stop)
    assert checkpoint.exists() == (at >= 2)
    if not checkpoint.exists():
        resumed = small_head()
    assert run(resumed, checkpoint=checkpoint) == expected
    torch.testing.assert_close(dict(resumed.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    ("head", "recipe", "message"),
    [
        (small_head(), replace(RECIPE, learning_rate=0.02), r"recipe with learning_rate=0\.01, expected 0\.02"),
        (small_head(with_switches(STRICT, loss="open")), RECIPE, "masking with loss='dims_and_steps', expected 'open'"),
        (
            ActionHead(replace(CONFIG, hidden=13), STRICT, torch.Generator()).double(),
            RECIPE,
            "config with hidden=11, expected 13",
        ),
        (small_head().float(), RECIPE, "weights with dtype='torch.float64', expected 'torch.float32'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_says_what_differs(tmp_path, head, recipe, message):
    fit(small_head(), TASK, RECIPE, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=f"checkpoint run.pt: got {message}, as in this run"):
        fit(head, TASK, recipe, checkpoint=tmp_path / "run.pt")


def test_a_checkpoint_of_another_task_or_a_damaged_one_is_refused(tmp_path):
    fit(small_head(), TASK, RECIPE, checkpoint=tmp_path / "run.pt")
    other = Shifted()
    with pytest.raises(ValueError, match=r"checkpoint run\.pt: got drawn with .*, as in this run"):
        fit(small_head(), other, RECIPE, checkpoint=tmp_path / "run.pt")
    whole = (tmp_path / "run.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        (tmp_path / "run.pt").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"checkpoint run\.pt: got a file that cannot be read .*remove the file"):
            fit(small_head(), TASK, RECIPE, checkpoint=tmp_path / "run.pt")


class Shifted:
    """The same task, with all actions a little larger."""

    def draw(self, batch_size, generator):
        observation, batch = TASK.draw(batch_size, generator)
        return observation, replace(batch, actions=batch.actions + 0.1)


def test_looks_between_no_steps_are_refused():
    with pytest.raises(ValueError, match="every: got 0, expected a whole number, 1 or more"):
        fit(small_head(), TASK, RECIPE, every=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: got 0, expected a whole number, 1 or more"),
        ({"batch_size": 2.0}, r"batch_size: got 2\.0, expected a whole number, 1 or more"),
        ({"seed": -1}, "seed: got -1, expected a whole number, 0 or more"),
        ({"micro_batches": 0}, "micro_batches: got 0, expected a whole number, 1 or more"),
        ({"learning_rate": 0.0}, r"learning_rate: got 0\.0, expected a number between 0 and 1"),
    ],
)
def test_an_impossible_recipe_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


def test_there_is_a_sample_for_each_piece():
    with pytest.raises(ValueError, match="batch_size: got 6, expected 7 or more, a sample for each of 7 micro-batches"):
        fit(small_head(), TASK, replace(RECIPE, micro_batches=7))
