"""The exercises of chapter 8: right answers and mistakes, each written in more than one way, and both beside the
auditor: what it accepts, what it finds, what it hands back, and what its reports say."""

import copy
import itertools

import pytest
import torch

from groot_teach.audit import Answer, Look, MaskReport, Padding, audit_masks, probes
from groot_teach.audit.heads import audit_action_head
from groot_teach.audit.policy import Policy
from groot_teach.exercises import chapter_8
from groot_teach.head.action_head import ActionHead, Observation
from groot_teach.head.config import HeadConfig
from groot_teach.masks import GROOT_N1_5, GROOT_N1_7, LEAKS, STRICT, SWITCHES, open_leaks, with_switches
from groot_teach.padding import ActionBatch, VLBatch
from groot_teach.show.exercises import grade
from groot_teach.show.exercises.compare import difference

BY_ID = {exercise.id: exercise for exercise in chapter_8.EXERCISES}


def check(exercise_id, answer):
    """As the reader's `check`, and without anything that is kept."""
    return grade(BY_ID[exercise_id], answer)


def known(exercise, name):
    (mistake,) = [known.answer for known in exercise.mistakes if known.name == name]
    return mistake


# ------------------------------------------------------------------------------------------- as the other chapters do


def test_there_are_six_exercises_and_every_reference_is_right():
    assert list(BY_ID) == ["audit.1", "audit.2", "audit.3", "audit.4", "audit.5", "audit.6"]
    for exercise in chapter_8.EXERCISES:
        assert grade(exercise, exercise.reference).status == "right"
        assert 3 <= exercise.minutes <= 8


@pytest.mark.parametrize(
    ("exercise", "known"),
    [
        pytest.param(exercise, known, id=f"{exercise.id} {known.name}")
        for exercise in chapter_8.EXERCISES
        for known in exercise.mistakes
    ],
)
def test_every_known_mistake_is_refused_with_its_own_message(exercise, known):
    verdict = grade(exercise, known.answer)
    assert (verdict.status, verdict.mistake) == ("wrong", known.name)
    assert known.message in verdict.message
    assert known.source in verdict.message


def test_known_mistakes_differ_from_each_other_also_where_nothing_is_left_open():
    for exercise in chapter_8.EXERCISES:
        answers = [exercise.reference, *(known.answer for known in exercise.mistakes)]
        outcomes = [[answer(*copy.deepcopy(case)) for case in exercise.cases()] for answer in answers]
        for one, other in itertools.permutations(outcomes, 2):
            assert any(difference(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


# --------------------------------------------------------------------------------- the same answer in other words


def declare_by_lists(pad, robot, mask, robot_dims, padded_dim):
    dims = [[dim in robot_dims[one] for dim in range(padded_dim)] for one in robot.tolist()]
    return torch.tensor(dims), pad.logical_not(), mask.bool()


def declare_by_table(pad, robot, mask, robot_dims, padded_dim):
    table = torch.zeros(len(robot_dims), padded_dim, dtype=torch.bool)
    for row, dims in enumerate(robot_dims):
        table[row].scatter_(0, torch.tensor(dims), True)
    return table[robot], pad == 0, mask > 0


def loss_by_loop(said, own, actions, noise, mask):
    target = (actions - noise)[mask]
    return torch.stack([torch.nn.functional.mse_loss(look[mask], target) for look in said])


def loss_by_fill(said, own, actions, noise, mask):
    error = (said + noise - actions).masked_fill(~mask, 0)
    return (error * error).flatten(1).sum(1) / mask.count_nonzero()


def target_by_loop(start, first, second):
    out = start.clone()
    for place in itertools.product(*map(range, start.shape)):
        if first[place] != second[place]:
            out[place] = start[place] + first[place] / (first[place] - second[place])
    return out


def target_by_line(start, first, second):
    """Between the two places, by what is left on either side."""
    part = first / (first - second)
    return (start + part).where(first != second, start)


def alone_by_index(noise, t, step_mask, sample, seed):
    steps = step_mask[sample].nonzero().flatten()
    return noise.narrow(1, sample, 1).index_select(2, steps), t[:, [sample]]


def alone_by_lists(noise, t, step_mask, sample, seed):
    kept = [step for step, real in zip(noise[:, sample].unbind(1), step_mask[sample].tolist(), strict=True) if real]
    return torch.stack(kept, dim=1)[:, None], t[:, sample][:, None]


def read_by_sets(size, looked, places, intended, excused):
    out = []
    for moved, seen, (stage, axis) in zip(size.tolist(), looked.tolist(), places, strict=True):
        name = ", ".join((stage, axis))
        if seen:
            out.append(int(moved != 0 and name not in intended))
        else:
            out.append(0 if {name, stage} & excused.keys() else 2)
    return torch.tensor(out)


def switches_by_loop(size):
    rows = []
    for head in size.tolist():
        moved = [any(row) for row in head]
        loss = 2 if head[5][0] else int(bool(head[5][1]))
        rows.append([*map(int, moved[:4]), loss, int(moved[6]), int(moved[8])])
    return torch.tensor(rows)


def switches_by_norm(size):
    rows = size.norm(dim=2) > 0
    out = rows[:, [0, 1, 2, 3, 5, 6, 8]].long()
    out[:, 4] += (size[:, 5, 0] > 0).long()
    return out


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("audit.1", declare_by_lists),
        ("audit.1", declare_by_table),
        ("audit.2", loss_by_loop),
        ("audit.2", loss_by_fill),
        ("audit.3", target_by_loop),
        ("audit.3", target_by_line),
        ("audit.3", lambda start, first, second: start - (first / (second - first)).nan_to_num(0.0)),
        ("audit.4", alone_by_index),
        ("audit.4", alone_by_lists),
        ("audit.5", read_by_sets),
        ("audit.6", switches_by_loop),
        ("audit.6", switches_by_norm),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise_id, answer):
    assert check(exercise_id, answer).status == "right"


# ---------------------------------------------------------------------------------------------- and other mistakes


def first_ones(real):
    return torch.stack([torch.arange(len(row)) < int(row.sum()) for row in real])


def anew_in_float64(noise, t, step_mask, sample, seed):
    torch.manual_seed(seed)
    drawn = torch.randn((len(noise), 1, int(step_mask[sample].sum()), noise.shape[3]), dtype=noise.dtype)
    return drawn, torch.rand(len(t), 1, dtype=t.dtype)


def like_then_cut(noise, t, step_mask, sample, seed):
    torch.manual_seed(seed)
    return torch.randn_like(noise[:, :1])[:, :, step_mask[sample]], t[:, :1]


def read_with(change):
    """`read_by_sets`, with its arguments changed."""
    return lambda *given: read_by_sets(*change(*given))


def all_of_the_stage(names, places):
    stages = {name.split(", ")[0] for name in names}
    return {", ".join(place): "" for place in places if place[0] in stages}


def tokens_by_prediction(size):
    out = switches_by_loop(size)
    out[:, 2] = out[:, 3] = (size[:, 4, 2] > 0).long()
    return out


def stops_at_the_first(size):
    out = switches_by_loop(size)
    for row in out:
        for place in (row > 0).nonzero().flatten()[1:]:
            row[place] = 0
    return out


@pytest.mark.parametrize(
    ("exercise_id", "name", "answer"),
    [
        ("audit.1", "action_is_pad as it is", lambda p, r, m, d, n: declare_by_lists(~p, r, m, d, n)),
        ("audit.1", "True = padding", lambda p, r, m, d, n: tuple(~x for x in declare_by_lists(p, r, m, d, n))),
        ("audit.1", "the tokens stay integers", lambda p, r, m, d, n: (*declare_by_lists(p, r, m, d, n)[:2], m)),
        (
            "audit.1",
            "the first robot speaks for all",
            lambda p, r, m, d, n: declare_by_lists(p, r[:1].repeat(len(r)), m, d, n),
        ),
        (
            "audit.1",
            "the place in the batch is taken for the robot",
            lambda p, r, m, d, n: declare_by_lists(p, torch.arange(len(r)), m, d, n),
        ),
        ("audit.1", "the first n dims", lambda p, r, m, d, n: declare_by_lists(p, r, m, [range(len(x)) for x in d], n)),
        ("audit.1", "copies are declared real", lambda p, r, m, d, n: declare_by_lists(p & False, r, m, d, n)),
        ("audit.1", "the first n tokens", lambda p, r, m, d, n: declare_by_lists(p, r, first_ones(m).long(), d, n)),
        (
            "audit.2",
            "the policy's own prediction",
            lambda s, o, a, n, m: loss_by_loop(o[None], o, a, n, m).repeat(len(s)),
        ),
        ("audit.2", "the policy's prediction is the target", lambda s, o, a, n, m: loss_by_loop(s, o, o, 0 * o, m)),
        (
            "audit.2",
            "masked, then the mean over everything",
            lambda s, o, a, n, m: ((s - a + n) ** 2 * m).mean((1, 2, 3)),
        ),
        (
            "audit.2",
            "masked, then the mean over everything",
            lambda s, o, a, n, m: (s - a + n).where(m, 0.0).square().mean((1, 2, 3)),
        ),
        (
            "audit.2",
            "entries summed, steps counted",
            lambda s, o, a, n, m: ((s - a + n) ** 2 * m).sum((1, 2, 3)) / m.any(-1).sum(),
        ),
        ("audit.2", "the velocity has openpi's sign", lambda s, o, a, n, m: loss_by_loop(-s, o, a, n, m)),
        ("audit.2", "an action is the target", lambda s, o, a, n, m: loss_by_loop(s, o, a, 0 * a.nan_to_num(), m)),
        (
            "audit.2",
            "masked after the arithmetic",
            lambda s, o, a, n, m: ((s + n - a) ** 2 * m).sum((1, 2, 3)) / m.sum(),
        ),
        ("audit.2", "one number for all looks", lambda s, *rest: loss_by_loop(s, *rest).mean().repeat(len(s))),
        ("audit.3", "the gradient is the error", lambda x, f, s: x + (-1) * f),
        ("audit.3", "only the 2 is undone", lambda x, f, s: x - 0.5 * f),
        ("audit.3", "divided by every entry", lambda x, f, s: x - f * (x.shape[0] * x.shape[1] * x.shape[2]) / 2),
        ("audit.3", "every entry that counts weighs the same", lambda x, f, s: x - f / 2 * (s - f).count_nonzero()),
        ("audit.3", "divided by zero", lambda x, f, s: x + f / (f - s)),
        ("audit.3", "zero where nothing counts", lambda x, f, s: (x - f / (s - f)).nan_to_num(0.0)),
        ("audit.3", "zero where nothing counts", lambda x, f, s: target_by_loop(x, f, s) * (s != f)),
        ("audit.3", "the wrong way", lambda x, f, s: 2 * x - target_by_loop(x, f, s)),
        ("audit.3", "the step of 1 is forgotten", lambda x, f, s: target_by_loop(x, f, s) - (s != f).double()),
        ("audit.3", "a gradient of 0 does not count", lambda x, f, s: x - torch.where(f * s == 0, 0, f / (s - f))),
        ("audit.4", "drawn anew with the same seed", anew_in_float64),
        ("audit.4", "drawn anew, then cut", like_then_cut),
        (
            "audit.4",
            "as many steps, the first ones",
            lambda x, t, m, i, s: alone_by_index(x, t, first_ones(m), i, s),
        ),
        ("audit.4", "the first sample's", lambda x, t, m, i, s: alone_by_lists(x, t, m, 0, s)),
        ("audit.4", "the batch axis is lost", lambda x, t, m, i, s: (x[:, i][:, m[i]], t[:, i])),
        (
            "audit.4",
            "the batch axis is lost",
            lambda x, t, m, i, s: (alone_by_index(x, t, m, i, s)[0].squeeze(1), t[:, [i]]),
        ),
        ("audit.4", "padding is still there", lambda x, t, m, i, s: (x[:, [i]], t[:, [i]])),
        ("audit.4", "set to 0, not cut", lambda x, t, m, i, s: (x[:, [i]] * m[i, :, None], t[:, [i]])),
        ("audit.4", "the padded steps are kept", lambda x, t, m, i, s: alone_by_index(x, t, ~m, i, s)),
        ("audit.4", "all flow times", lambda x, t, m, i, s: (alone_by_index(x, t, m, i, s)[0], t)),
        (
            "audit.5",
            "nobody looked, so nothing was found",
            lambda s, k, p, i, e: read_by_sets(s, k | True, p, i, e),
        ),
        ("audit.5", "NaN is not above 0", read_with(lambda s, k, p, i, e: (s.nan_to_num(0.0), k, p, i, e))),
        ("audit.5", "NaN means that nobody looked", read_with(lambda s, k, p, i, e: (s, k & (s == s), p, i, e))),
        ("audit.5", "a small one is none", read_with(lambda s, k, p, i, e: (s.where(s > 1e-6, 0.0), k, p, i, e))),
        ("audit.5", "a small one is none", read_with(lambda s, k, p, i, e: (s.where(s > 0.05, 0.0), k, p, i, e))),
        ("audit.5", "a whole stage is intended", read_with(lambda s, k, p, i, e: (s, k, p, all_of_the_stage(i, p), e))),
        (
            "audit.5",
            "an excuse makes a finding all right",
            read_with(
                lambda s, k, p, i, e: (s, k, p, i | {", ".join(x): "" for x in p if {x[0], ", ".join(x)} & {*e}}, e)
            ),
        ),
        ("audit.5", "an intention makes up for a look", read_with(lambda s, k, p, i, e: (s, k, p, i, i | e))),
        (
            "audit.5",
            "an excuse has to name the place",
            read_with(lambda s, k, p, i, e: (s, k, p, i, {x: "" for x in e if "," in x})),
        ),
        (
            "audit.5",
            "one look is enough",
            read_with(
                lambda s, k, p, i, e: (s, k, p, i, e | {", ".join(p[x]): "" for x in k.nonzero()[:, 0].tolist()})
            ),
        ),
        ("audit.5", "found and not looked at are swapped", lambda *given: (3 - read_by_sets(*given)) % 3),
        ("audit.6", "tokens have one door", tokens_by_prediction),
        (
            "audit.6",
            "everybody is blamed for the sampler",
            lambda x: switches_by_norm(x[:, [0, 1, 2, 3, 4, 5, 6, 8, 7]]),
        ),
        (
            "audit.6",
            "either row is the sampler's",
            lambda x: switches_by_norm(torch.cat([x[:, :8], x[:, 7:].amax(1, keepdim=True)], dim=1)),
        ),
        ("audit.6", "the first leak only", stops_at_the_first),
        (
            "audit.6",
            "copied steps do no harm",
            lambda x: switches_by_norm(x * (x[:, 5:6, :1] > 0) + keep_but_the_sum(x)),
        ),
        ("audit.6", "a loss leaks or it does not", lambda x: switches_by_loop(x).clamp(max=1)),
        (
            "audit.6",
            "sum and count are swapped",
            lambda x: switches_by_loop(x[:, [0, 1, 2, 3, 4, 6, 5, 7, 8]]),
        ),
        (
            "audit.6",
            "who sums too much divides wrongly",
            lambda x: switches_by_loop(torch.cat([x[:, :6], x[:, 5:7].amax(1, keepdim=True), x[:, 7:]], dim=1)),
        ),
    ],
)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    verdict = check(exercise_id, answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def keep_but_the_sum(size):
    """The table without the row of the loss's sum."""
    rest = size.clone()
    rest[:, 5] = 0
    return rest


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("audit.1", lambda p, r, m, d, n: tuple(x.float() for x in declare_by_lists(p, r, m, d, n))),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r, 1 - m, d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r, m | 1, d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(first_ones(p), r, m, d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(~first_ones(~p), r, m, d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r | 0, m, d, n)[::-1]),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r, m.flip(1), d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r.sort().values, m, d, n)),
        ("audit.1", lambda p, r, m, d, n: declare_by_lists(p, r, m, [[*range(n)]] * len(d), n)),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, m).sqrt()),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, m) / 2),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, m) * m.sum()),
        ("audit.2", lambda s, o, a, n, m: (s - a + n)[:, m].abs().mean(1)),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, m | True)),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, ~m)),
        ("audit.2", lambda s, o, a, n, m: loss_by_loop(s, o, a, n, m.any(2, keepdim=True).expand_as(m))),
        ("audit.2", lambda s, o, a, n, m: torch.stack([((x - a + n) ** 2).nanmean() for x in s])),
        (
            "audit.2",
            lambda s, o, a, n, m: ((s - a + n).square() * m).nan_to_num().sum((1, 2, 3)) / m.sum().clamp(min=9),
        ),
        ("audit.3", lambda x, f, s: x - f / s),
        ("audit.3", lambda x, f, s: x + 1 - f / (s - f)),
        ("audit.3", lambda x, f, s: x - f / (s - f).mean()),
        ("audit.3", lambda x, f, s: x - f / (s - f).amax()),
        ("audit.3", lambda x, f, s: torch.where(s != f, x - (f / (s - f)).round(), x)),
        ("audit.3", lambda x, f, s: torch.where((s - f).abs() > 0.1, target_by_loop(x, f, s), x)),
        ("audit.3", lambda x, f, s: x + (s - f)),
        ("audit.4", lambda x, t, m, i, s: alone_by_index(x, t.flip(1), m, i, s)),
        ("audit.4", lambda x, t, m, i, s: alone_by_index(x, t, m, -1, s)),
        ("audit.4", lambda x, t, m, i, s: alone_by_index(x, t, m.flip(1), i, s)),
        ("audit.4", lambda x, t, m, i, s: alone_by_index(x, t, m[:1].expand_as(m), i, s)),
        ("audit.4", lambda x, t, m, i, s: (x[:, :, m[i]], t)),
        ("audit.4", lambda x, t, m, i, s: alone_by_index(x.flip(3), t, m, i, s)),
        ("audit.4", lambda x, t, m, i, s: tuple(part[:1].expand_as(part) for part in alone_by_index(x, t, m, i, s))),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s.where(s < 1e9, 0.0), k, p, i, e)),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, p, {}, e)),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, p, i, {})),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, p, i, {x.split(", ")[0]: "" for x in e})),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, p, i, {x: "" for x in e if "," not in x})),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, ~k, p, i, e)),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s.isnan().double(), k, p, i, e)),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, p, i, e).clamp(max=1)),
        ("audit.5", lambda s, k, p, i, e: read_by_sets(s, k, [p[0]] * len(p), i, e)),
        ("audit.6", lambda x: torch.zeros(len(x), 7, dtype=torch.long)),
        ("audit.6", lambda x: switches_by_loop(x > 0.5)),
        ("audit.6", lambda x: switches_by_loop(x).flip(1)),
        ("audit.6", lambda x: switches_by_loop(x)[:, [1, 0, 2, 3, 4, 5, 6]]),
        ("audit.6", lambda x: switches_by_loop(x)[:, [0, 3, 2, 1, 4, 5, 6]]),
        ("audit.6", lambda x: switches_by_loop(x)[:, [0, 1, 3, 2, 4, 5, 6]]),
        ("audit.6", lambda x: switches_by_loop(x[:1]).expand(len(x), -1).clone()),
        ("audit.6", lambda x: switches_by_loop(x).clamp(min=1)),
    ],
)
def test_another_wrong_answer_is_refused_and_is_given_no_name_of_another_mistake(exercise_id, answer):
    verdict = check(exercise_id, answer)
    assert verdict.status == "wrong"
    own = next(one for one in chapter_8.EXERCISES if one.id == exercise_id)
    assert verdict.mistake not in [known.name for known in own.mistakes]


# --------------------------------------------------------------------------------------------- on paper


def test_the_first_case_of_each_gives_what_paper_gives():
    dims, steps, tokens = first(chapter_8.DECLARE)
    assert dims.tolist() == [[False, True, True, True], [True, False, False, True]]
    assert steps.tolist() == [[True, False], [True, True]]
    assert tokens.tolist() == [[False, True, True], [True, True, True]]
    assert first(chapter_8.LOSS_OF).tolist() == [0, 1, 4]
    assert first(chapter_8.FIND_TARGET).tolist() == [[[3, -1, 5]]]
    noise, t = first(chapter_8.DRAWS_ALONE)
    assert (noise.tolist(), t.tolist()) == ([[[[6, 7], [10, 11]]], [[[18, 19], [22, 23]]]], [[0.75], [1]])
    assert first(chapter_8.READ_REPORT).tolist() == [0, 0, 2, 0, 1]
    assert first(chapter_8.WHICH_SWITCHES).tolist() == [[0, 0, 1, 0, 1, 0, 0]]


def first(exercise):
    return exercise.reference(*exercise.cases()[0])


# --------------------------------------------------------------------------------------------- 8.1, and `Padding`


def declared_by(answer, case):
    axes = ("dims", "steps", "tokens")
    return [Padding(axis, real, {axis: 1}) for axis, real in zip(axes, answer(*case), strict=True)]


def test_the_auditor_takes_what_the_reference_declares_and_refuses_integers():
    integers = known(chapter_8.DECLARE, "the tokens stay integers")
    for case in chapter_8.DECLARE.cases():
        assert [kind.axis for kind in declared_by(chapter_8.declare, case)] == ["dims", "steps", "tokens"]
        with pytest.raises((TypeError, ValueError), match="real"):
            declared_by(integers, case)


def a_policy(given):
    """It masks its input by what was recorded, and predicts each step from itself alone."""
    real = given["steps"][:, :, None] & given["dims"][:, None, :]
    seen = torch.where(real, given["actions"], 0.0)
    return Answer(torch.cumsum(seen, dim=2), lambda said: ((said - seen).square() * real).sum() / real.sum())


def test_an_audit_with_padding_declared_upside_down_finds_what_is_no_leak():
    upside_down = known(chapter_8.DECLARE, "True = padding")
    for case in chapter_8.DECLARE.cases()[1:2]:
        dims, steps, _ = chapter_8.declare(*case)
        shape = (*steps.shape, dims.shape[1])
        given = {"actions": torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()}
        given |= {"dims": dims, "steps": steps}

        def audit(answer, case=case, given=given):
            dims, steps, _ = answer(*case)
            padding = [Padding("dims", dims, {"actions": 2}, {"dims": 1})]
            padding.append(Padding("steps", steps, {"actions": 1}, {"steps": 1}))
            return audit_masks(a_policy, given, padding, excused={"sampler": "it has none"})

        assert audit(chapter_8.declare).is_clean
        assert audit(upside_down).unintended


# --------------------------------------------------------------------------------------------- 8.2, and the probes


def audit_with(loss_of):
    """An audit of a policy whose loss is what an answer to 8.2 makes of it."""
    _, _, actions, noise, mask = chapter_8.LOSS_OF.cases()[1]
    dims, steps = mask.any(dim=1), mask.any(dim=2)
    given = {"actions": torch.where(mask, actions, 0.0), "noise": noise, "dims": dims, "steps": steps}

    def run(given):
        real = given["steps"][:, :, None] & given["dims"][:, None, :]
        pred = torch.where(real, given["actions"] + 2 * given["noise"], 0.0)
        return Answer(pred, lambda said: loss_of(said[None], pred, given["actions"], given["noise"], real)[0])

    padding = [Padding("dims", dims, {"actions": 2, "noise": 2}, {"dims": 1})]
    padding.append(Padding("steps", steps, {"actions": 1, "noise": 1}, {"steps": 1}))
    return audit_masks(run, given, padding, excused={"sampler": "it has none"})


def test_an_audit_of_the_reference_is_clean_and_that_of_a_wrong_count_is_not():
    assert audit_with(chapter_8.loss_of).is_clean
    for name in ("masked, then the mean over everything", "entries summed, steps counted"):
        found = audit_with(known(chapter_8.LOSS_OF, name)).unintended
        assert {finding.stage for finding in found} == {"loss count"}


def test_a_loss_that_was_worked_out_before_can_not_be_asked_anything():
    report = audit_with(known(chapter_8.LOSS_OF, "the policy's own prediction"))
    assert not report.is_clean
    assert any(finding.kind == "lost" for finding in report.findings)
    assert any(look.probe == "unit error" for look in report.unseen)


def test_an_error_of_1_in_every_entry_costs_1_whatever_is_padded():
    for said, own, actions, noise, mask in chapter_8.LOSS_OF.cases():
        target = torch.where(mask, actions - noise, 0.0)
        asked = torch.stack([target, target + 1, target + 3 * (~mask)])
        assert chapter_8.loss_of(asked, own, actions, noise, mask).tolist() == pytest.approx([0, 1, 0])
        assert len(chapter_8.loss_of(said, own, actions, noise, mask)) == len(said)


# --------------------------------------------------------------------------------------------- 8.3, and the auditor


def losses():
    """Losses of squared errors, each with the entries that count: means, sums of means, and a half."""
    target = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    real = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(2)) < 0.6
    arm, claw = real.clone(), real.clone()
    arm[..., 4:], claw[..., :4] = False, False

    def mean(said, where):
        return (said - target)[where].square().mean()

    yield target, real, lambda said: mean(said, real)
    yield target, real, lambda said: mean(said, arm) + mean(said, claw)
    yield target, real, lambda said: ((said - target).square() * real).sum() / 2
    yield target, real | True, lambda said: torch.nn.functional.mse_loss(said, target)


def gradients(loss, start):
    found = []
    for prediction in (start, start + 1):
        leaf = prediction.clone().requires_grad_()
        found.append(torch.autograd.grad(loss(leaf), leaf)[0])
    return found


def test_the_reference_finds_the_target_of_real_losses_and_agrees_with_the_auditor():
    start = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for target, counts, loss in losses():
        found = chapter_8.find_target(start, *gradients(loss, start))
        torch.testing.assert_close(found[counts], target[counts])
        torch.testing.assert_close(found, probes.find_target(loss, start))
        assert torch.equal(found[~counts], start[~counts])


def test_no_mistake_finds_the_target_of_all_these_losses():
    start = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for mistake in chapter_8.FIND_TARGET.mistakes:
        if mistake.name == "a gradient of 0 does not count":  # by chance no gradient is 0
            continue
        finds = []
        for target, counts, loss in losses():
            found = mistake.answer(start, *gradients(loss, start))
            finds.append(torch.allclose(found, torch.where(counts, target, start)))
        assert not all(finds), mistake.name


# --------------------------------------------------------------------------------------------- 8.4, and the auditor


def test_the_auditor_hands_back_the_draws_that_the_reference_cuts():
    """The real recorder, at a policy that draws noise and then flow times."""
    for all_noise, _, step_mask, sample, seed in chapter_8.DRAWS_ALONE.cases()[1:]:
        given = {"actions": torch.ones_like(all_noise[0]), "steps": step_mask}

        def run(given, seed=seed):
            generator = torch.Generator().manual_seed(seed)
            drawn = torch.randn(given["actions"].shape, dtype=torch.float64, generator=generator)
            time = torch.rand(len(drawn), dtype=torch.float64, generator=generator)
            return Answer(drawn + 10 * time[:, None, None])

        policy = Policy(run, given, [Padding("steps", step_mask, {"actions": 1}, {"steps": 1})])
        noise, t = policy.ask(given).drawn
        alone, _ = policy.alone(given | {"drawn 0": noise, "drawn 1": t}, sample, "steps")
        mine = chapter_8.draws_alone(noise[None], t[None], step_mask, sample, seed)
        assert torch.equal(alone["drawn 0"], mine[0][0])
        assert torch.equal(alone["drawn 1"], mine[1][0])


def test_a_seed_repeats_what_was_drawn_and_not_for_a_smaller_batch():
    anew = known(chapter_8.DRAWS_ALONE, "drawn anew with the same seed")
    for noise, t, step_mask, _, seed in chapter_8.DRAWS_ALONE.cases()[1:]:
        generator = torch.Generator().manual_seed(seed)
        assert torch.equal(torch.randn(noise.shape, dtype=torch.float64, generator=generator), noise)
        assert torch.equal(torch.rand(t.shape, dtype=torch.float64, generator=generator), t)
        for sample in range(noise.shape[1]):
            right = chapter_8.draws_alone(noise, t, step_mask, sample, seed)[0]
            assert not torch.isclose(anew(noise, t, step_mask, sample, seed)[0], right).all()


# --------------------------------------------------------------------------------------------- 8.5, and reports


def test_the_reference_reads_a_report_as_the_report_reads_itself():
    for size, looked, places, intended, excused in chapter_8.READ_REPORT.cases():
        looks = [
            Look(stage, axis, "perturb", moved if seen else None)
            for moved, seen, (stage, axis) in zip(size.tolist(), looked.tolist(), places, strict=True)
        ]
        said = chapter_8.read_report(size, looked, places, intended, excused)
        for look, code in zip(looks, said.tolist(), strict=True):
            report = MaskReport((look,), intended, excused)
            assert bool(report.unintended) == (code == 1)
            assert bool(report.unseen) == (code == 2)
            assert report.is_clean == (code == 0)
        assert not MaskReport(tuple(looks), intended, excused).is_clean
        kept = [look for look, code in zip(looks, said.tolist(), strict=True) if code == 0]
        assert MaskReport(tuple(kept), intended, excused).is_clean


def test_the_reports_of_the_cases_hold_everything_that_can_be_confused():
    seen = set()
    for size, looked, places, intended, excused in chapter_8.READ_REPORT.cases():
        for moved, was_taken, (stage, axis) in zip(size.tolist(), looked.tolist(), places, strict=True):
            name = f"{stage}, {axis}"
            kind = "none" if moved == 0 else "NaN" if moved != moved else "small" if moved < 1e-3 else "some"
            seen.add((was_taken, kind, name in intended, "stage" if stage in excused else name in excused))
            assert was_taken or moved == 0
    for kind in ("none", "NaN", "small", "some"):
        for wanted, excuse in itertools.product((True, False), (True, False, "stage")):
            if (wanted, excuse) != (True, "stage"):
                assert (True, kind, wanted, excuse) in seen
    assert {(False, "none", wanted, excuse) for wanted in (True, False) for excuse in (True, False)} <= seen


# --------------------------------------------------------------------------------------------- 8.6, and real heads

ROWS = (
    "action encoder",
    "DiT self-attention",
    "VL self-attention",
    "DiT cross-attention",
    "prediction",
    "loss sum",
    "loss count",
    "sampler",
    "sampled padding",
)


def table_of(report):
    """A report as the exercise gives it: rows by columns, the largest size that any probe saw."""
    table = torch.zeros(len(ROWS), 3, dtype=torch.float64)
    for look in report.looks:
        for axis in look.axis.split(" and "):
            if axis != "samples":
                place = ROWS.index(look.stage), ("dims", "steps", "tokens").index(axis)
                table[place] = max(table[place].item(), look.size)
    return table


def report_on(masking):
    """The auditor's report on a small head with this masking."""

    def draw(seed, *shape):
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    batch, horizon, padded_dim, tokens, width = 3, 3, 7, 6, 6
    config = HeadConfig(
        padded_dim=padded_dim,
        state_dim=5,
        token_width=width,
        embodiments=3,
        width=8,
        hidden=6,
        heads=2,
        layers=2,
        vl_heads=2,
        vl_layers=1,
    )
    head = ActionHead(config, masking, torch.Generator().manual_seed(0)).double()
    dims = torch.arange(padded_dim) < torch.tensor([7, 4, 5])[:, None]
    steps = torch.arange(horizon) < torch.tensor([2, 3, 1])[:, None]
    token_mask = torch.arange(tokens) >= torch.tensor([0, 3, 2])[:, None]
    image_mask = torch.zeros(batch, tokens, dtype=torch.bool)
    image_mask[:, 3] = True
    vl = VLBatch(draw(1, batch, tokens, width), token_mask, image_mask)
    observation = Observation(vl, draw(2, batch, 1, 5), torch.tensor([0, 2, 1]))
    chunk = ActionBatch(draw(3, batch, horizon, padded_dim) * dims[:, None], dims, steps)
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    return audit_action_head(head, observation, chunk, draw(4, batch, horizon, padded_dim), t)


LOSS_CODES = {"dims_and_steps": 0, "dims": 1, "open": 2}


def codes(masking):
    """What has to be moved, read off the switches."""
    return [
        LOSS_CODES[masking.loss] if leak.switch == "loss" else int(getattr(masking, leak.switch) in leak.leaks)
        for leak in LEAKS
    ]


HEADS = (
    GROOT_N1_5,
    GROOT_N1_7,
    with_switches(STRICT, cross_attention="open", loss_denominator="all", sampler="free"),
    with_switches(STRICT, encoder_input="open", loss="dims", loss_denominator="all"),
    with_switches(STRICT, self_attention="open", loss="open"),
)


def test_the_reference_reads_the_switches_off_real_reports_and_no_mistake_does():
    reports = [report_on(masking) for masking in HEADS]
    assert all(look.size is not None for report in reports for look in report.looks)
    tables = torch.stack([table_of(report) for report in reports])
    expected = torch.tensor([codes(masking) for masking in HEADS])
    assert chapter_8.which_switches(tables).tolist() == expected.tolist()
    assert [report.leaks for report in reports] == [open_leaks(masking) for masking in HEADS]
    for mistake in chapter_8.WHICH_SWITCHES.mistakes:
        assert mistake.answer(tables).tolist() != expected.tolist(), mistake.name


# --------------------------------------------------------------------------------------------- the cases themselves


def is_prefix(mask):
    return bool((mask.int().diff(dim=-1) <= 0).all())


def test_what_is_real_does_not_come_first_in_the_cases():
    for case in chapter_8.DECLARE.cases()[1:]:
        assert not any(is_prefix(mask) for mask in chapter_8.declare(*case))
    for *_, mask in chapter_8.LOSS_OF.cases()[1:]:
        assert not is_prefix(mask.any(1))
        assert not is_prefix(mask.any(2))
    for _, _, step_mask, sample, _ in chapter_8.DRAWS_ALONE.cases():
        assert not is_prefix(step_mask[sample])
        assert sample > 0


def test_robots_are_in_no_order_and_none_is_at_its_place_in_the_batch_throughout():
    for _, robot, _, robot_dims, padded_dim in chapter_8.DECLARE.cases():
        assert robot.tolist() != list(range(len(robot)))
        assert robot[0] != 0
        assert all(0 <= dim < padded_dim for dims in robot_dims for dim in dims)
        assert len({tuple(dims) for dims in robot_dims}) == len(robot_dims)


def test_some_targets_are_met_before_and_some_after_the_step_and_weights_differ():
    for start, first, second in chapter_8.FIND_TARGET.cases()[1:]:
        slope = second - first
        assert ((first == 0) & (slope != 0)).any()
        assert ((second == 0) & (slope != 0)).any()
        assert (slope == 0).any()
        assert len(slope[slope != 0].mul(1e6).round().unique()) > 1
        assert start.shape == first.shape == second.shape


def test_the_columns_of_the_last_exercise_are_the_switches_in_their_order():
    assert tuple(leak.switch for leak in LEAKS) == SWITCHES
    assert ", ".join(f"`{name}`" for name in SWITCHES) in chapter_8.WHICH_SWITCHES.task


def test_tables_of_the_cases_hold_every_position_of_every_switch():
    tables = torch.cat([size for (size,) in chapter_8.WHICH_SWITCHES.cases()])
    found = chapter_8.which_switches(tables)
    for place, name in enumerate(SWITCHES):
        assert set(found[:, place].tolist()) == ({0, 1, 2} if name == "loss" else {0, 1})
    assert (found == 0).all(dim=1).any()
    assert ((tables[:, 7] != 0).any(dim=1) & (found[:, 6] == 0)).any()
    assert ((tables[:, 7] == 0).all(dim=1) & (found[:, 6] == 1)).any()
