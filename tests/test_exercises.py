"""The exercises: what is right passes, and every known mistake is refused with its own message.

Most tests run over all exercises of all chapters, so a new chapter is tested when its module stands in `CHAPTERS`.
"""

import copy
import itertools
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot_teach import exercises
from groot_teach.exercises import CHAPTERS, chapter_1, check, hint, hints, progress, progress_file, solution
from groot_teach.exercises.cards import Card
from groot_teach.exercises.engine import Exercise, Misconception, difference, grade
from groot_teach.padding import (
    VLTokens,
    action_mask_dims_and_steps,
    action_mask_dims_only,
    join_tokens,
    pad_steps_with_copies,
    pad_tokens_left,
)

patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure

ALL = [exercise for chapter in exercises.CHAPTERS for exercise in chapter.EXERCISES]
every_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
every_mistake = pytest.mark.parametrize(
    ("exercise", "known"),
    [pytest.param(entry, known, id=f"{entry.id} {known.name}") for entry in ALL for known in entry.misconceptions],
)


@pytest.fixture(autouse=True)
def progress_path(tmp_path, monkeypatch):
    """A new reader: nothing done, no hint shown, and a progress file of their own."""
    path = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv("GROOT_TEACH_PROGRESS", str(path))
    monkeypatch.setattr(progress_file, "_done_in_this_session", set())
    monkeypatch.setattr(exercises, "_hints_shown", {})
    return path


def new_session(monkeypatch):
    monkeypatch.setattr(progress_file, "_done_in_this_session", set())


def results(answer, exercise):
    return [answer(*copy.deepcopy(arguments)) for arguments in exercise.cases()]


def spoilt(result):
    """The same type, shape and dtype, with one wrong entry: the last."""
    if isinstance(result, tuple):
        return (*result[:-1], spoilt(result[-1]))
    result = result.clone()
    entries = result.view(-1)
    entries[-1] = ~entries[-1] if result.dtype == torch.bool else entries[-1] + 1
    return result


def answer_of_calls(exercise, change):
    """The reference, but call number `i` gives `change(i, right result)`."""
    calls = iter(range(10**6))
    return lambda *arguments: change(next(calls), exercise.reference(*arguments))


def words(text):
    return re.sub(r"\s+", " ", text).strip()


# --------------------------------------------------------------------------------------- what is right, and what is not


@every_exercise
def test_the_reference_is_right(exercise):
    verdict = check(exercise.id, exercise.reference)
    assert verdict.status == "right"
    assert exercise.lesson in verdict.message


@every_mistake
def test_every_known_mistake_is_refused_with_its_own_message(exercise, known):
    verdict = check(exercise.id, known.answer)
    assert (verdict.status, verdict.misconception) == ("wrong", known.name)
    assert known.message in verdict.message
    assert known.source in verdict.message
    assert known.name in verdict.headline
    others = [other.message for other in exercise.misconceptions if other is not known]
    assert not any(message in verdict.message for message in others)


@every_exercise
def test_known_mistakes_differ_from_each_other_and_from_the_reference_on_the_cases(exercise):
    answers = [exercise.reference, *(known.answer for known in exercise.misconceptions)]
    outcomes = [results(answer, exercise) for answer in answers]
    for one, other in itertools.permutations(outcomes, 2):
        assert any(difference(a, b) for a, b in zip(one, other, strict=True))


def rebuilt_from_counts(dim_mask, action_is_pad):
    dims = torch.arange(dim_mask.shape[1]) < dim_mask.sum(1, keepdim=True)
    steps = torch.arange(action_is_pad.shape[1]) < (~action_is_pad).sum(1, keepdim=True)
    return torch.einsum("bt,bd->btd", steps.int(), dims.int()).bool()


def padded_to_the_longest(prompt_len, key_len):
    prompts = [torch.ones(length, dtype=torch.bool) for length in prompt_len.tolist()]
    return torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True, padding_side="left")


def image_seats(camera_is_present, tokens_per_camera):
    return camera_is_present[:, :, None].expand(-1, -1, tokens_per_camera).flatten(1)


def repeats_the_step_before(episode, start, action_horizon):
    actions = chapter_1.chunk_at(episode, start, action_horizon)[0]
    is_pad = torch.zeros(action_horizon, dtype=torch.bool)
    is_pad[1:] = (actions[1:] == actions[:-1]).all(1)
    return actions, is_pad


def cut_short_and_marked(episode, start, action_horizon):
    return episode[start:][:action_horizon], torch.arange(start, start + action_horizon) >= len(episode)


def shifted_to_a_negative_start(episode, start, action_horizon):
    start = min(start, len(episode) - action_horizon)
    return episode[start : start + action_horizon], torch.zeros(action_horizon, dtype=torch.bool)


def shifted_no_further_than_the_start(episode, start, action_horizon):
    actions = episode[max(0, min(start, len(episode) - action_horizon)) :][:action_horizon]
    return actions, torch.zeros(len(actions), dtype=torch.bool)


@pytest.mark.parametrize(
    ("exercise_id", "name", "answer"),
    [
        ("1.2", "the first n taken for the real ones", rebuilt_from_counts),
        ("1.3", "padded to the longest prompt only", padded_to_the_longest),
        ("1.4", "padded words may be read", lambda c, n, t: torch.cat([image_seats(c, n), (~t).bool()], 1)),
        ("1.4", "padded words may be read", lambda c, n, t: torch.cat([image_seats(c, n), ~t], 1).bool()),
        ("1.4", "an integer mask turned round with ~", lambda c, n, t: torch.hstack([image_seats(c, n), ~t])),
        ("1.4", "the words are upside down", lambda c, n, t: torch.hstack([image_seats(c, n), t == 0])),
        ("1.4", "the words are upside down", lambda c, n, t: torch.hstack([image_seats(c, n), ~t.bool()])),
        ("1.4", "the words before the cameras", lambda c, n, t: torch.hstack([t == 1, image_seats(c, n)])),
        ("1.5", "padding guessed by value", repeats_the_step_before),
        ("1.5", "the chunk is cut short", cut_short_and_marked),
        ("1.5", "the window is shifted back, nothing is marked", shifted_to_a_negative_start),
        ("1.5", "the window is shifted back, nothing is marked", shifted_no_further_than_the_start),
    ],
)
def test_a_mistake_is_called_by_name_however_it_is_written(exercise_id, name, answer):
    verdict = check(exercise_id, answer)
    assert (verdict.status, verdict.misconception) == ("wrong", name)


@pytest.mark.parametrize(
    "answer",
    [
        lambda dim_mask, pad: chapter_1.action_mask(rebuilt_from_counts(dim_mask, pad).any(1), pad),
        lambda dim_mask, pad: chapter_1.action_mask(dim_mask, ~rebuilt_from_counts(dim_mask, pad).any(2)),
    ],
    ids=["dims", "steps"],
)
def test_neither_real_dims_nor_real_steps_come_first_in_the_cases(answer):
    assert check("1.2", answer).status == "wrong"


def marks_the_tail_that_repeats(episode, start, action_horizon):
    actions, is_pad = repeats_the_step_before(episode, start, action_horizon)
    return actions, is_pad.flip(0).int().cumprod(0).flip(0).bool()


def marks_repeats_near_the_end_only(episode, start, action_horizon):
    actions, is_pad = repeats_the_step_before(episode, start, action_horizon)
    return actions, is_pad & (start + action_horizon > len(episode))


@pytest.mark.parametrize("answer", [marks_the_tail_that_repeats, marks_repeats_near_the_end_only])
def test_no_value_tells_a_copy_from_a_recorded_step(answer):
    """What chapter 1 warns of: each of these is right until the robot stands still."""
    assert check("1.5", answer).status == "wrong"


def test_a_robot_that_stands_still_does_so_in_the_middle_and_at_the_end_and_is_followed_by_copies():
    ((episode, start, action_horizon),) = [
        case for case in chapter_1.CHUNK_AT.cases() if (case[0][1:] == case[0][:-1]).all(1).any()
    ]
    actions, action_is_pad = chapter_1.chunk_at(episode, start, action_horizon)
    assert actions[:, 0].tolist() == [21, 21, 31, 31, 31, 31]
    assert action_is_pad.tolist() == [False] * 4 + [True] * 2


def test_a_known_mistake_may_leave_open_what_those_who_make_it_do_differently():
    halves = Misconception("halves", lambda parts: (parts[0] / 2, ...) if parts else ..., "No half.", "our own")
    cases = (([torch.tensor([4.0])],), ([],))
    exercise = toy_exercise(cases=lambda: cases, reference=lambda parts: (parts[:1], 1), misconceptions=(halves,))

    def named(first, second):
        return grade(exercise, lambda parts: first if parts else second).misconception

    half, third = torch.tensor([2.0]), torch.tensor([3.0])
    assert named((half, 1), "anything") == named((half, "else"), 7) == named((half, ...), ...) == "halves"
    assert named((third, 1), "anything") is named((half, 1, 1), "anything") is named(half, "anything") is None
    assert grade(exercise, lambda parts: (parts[:1], ...)).status == "wrong"  # only a mistake may leave things open


@every_exercise
def test_an_exercise_is_complete(exercise):
    assert re.fullmatch(r"[1-9]\.[1-9]", exercise.id)
    assert len(exercise.misconceptions) >= 3
    assert len(exercise.hints) >= 2
    assert len(set(exercise.hints)) == len(exercise.hints)
    assert 1 <= exercise.minutes <= 30
    assert exercise.difficulty in (1, 2, 3)
    for name in exercise.argument_names:
        assert f"`{name}`" in exercise.task
    for known in exercise.misconceptions:
        assert known.name
        assert known.message.endswith(".")
        assert known.source
    assert any(not known.source.startswith("our own") for known in exercise.misconceptions)


def test_ids_are_unique_and_tell_the_chapter():
    assert len({exercise.id for exercise in ALL}) == len(ALL)
    for number, chapter in enumerate(exercises.CHAPTERS, start=1):
        assert chapter.TITLE.endswith(("?", "."))
        assert [exercise.id for exercise in chapter.EXERCISES] == [
            f"{number}.{i + 1}" for i in range(len(chapter.EXERCISES))
        ]


@every_exercise
def test_cases_are_the_same_each_time_and_begin_small(exercise):
    first, second = exercise.cases(), exercise.cases()
    assert len(first) == len(second) >= 4
    for one, other in zip(first, second, strict=True):
        assert difference(tuple(one), tuple(other), equal_nan=True) is None
        assert one[0] is not other[0]  # built anew: nobody can spoil them
    assert all(value.numel() <= 30 for value in first[0] if isinstance(value, torch.Tensor))


@every_exercise
def test_tensors_of_the_cases_come_in_several_shapes(exercise):
    shapes = {tuple(tuple(v.shape) for v in case if isinstance(v, torch.Tensor)) for case in exercise.cases()}
    assert len(shapes) >= 3


# -------------------------------------------------------------------------------------------------------- not attempted


def body_is_dots(*arguments): ...


def returns_dots(*arguments):
    return ...


def raises_not_implemented(*arguments):
    raise NotImplementedError


def raises_not_implemented_with_words(*arguments):
    raise NotImplementedError("your code here")


@every_exercise
@pytest.mark.parametrize(
    "answer",
    [None, ..., body_is_dots, returns_dots, raises_not_implemented, raises_not_implemented_with_words],
    ids=lambda answer: getattr(answer, "__name__", repr(answer)),
)
def test_a_blank_answer_is_not_attempted(exercise, answer):
    verdict = check(exercise.id, answer)
    assert verdict.status == "not attempted"
    assert "wrong" not in repr(verdict)


def test_a_stub_is_told_what_it_still_gives():
    assert check("1.1", returns_dots).message.startswith("Your function still gives the dots. A nudge:")
    assert check("1.1", body_is_dots).message.startswith("Your function gives nothing yet. Is a `return` missing?")


@every_exercise
def test_an_answer_that_is_blank_on_some_cases_only_was_attempted(exercise):
    answer = answer_of_calls(exercise, lambda i, right: right if i == 0 else None)
    verdict = check(exercise.id, answer)
    assert verdict.status == "wrong"
    assert "got None (is a `return` missing?)" in words(repr(verdict)).replace("Got", "got")


def test_an_operation_that_pytorch_has_not_implemented_is_an_attempt():
    verdict = check("1.2", lambda dim_mask, action_is_pad: torch.ones(2, 2).bool() @ torch.ones(2, 2).bool())
    assert verdict.status == "raised"
    assert "NotImplementedError" in verdict.message


# --------------------------------------------------------------------------------------------------------------- raised


def forgets_the_new_axes(dim_mask, action_is_pad):
    step_mask = ~action_is_pad
    return step_mask & dim_mask


def test_an_error_is_told_with_its_line_and_the_shapes_and_without_a_traceback():
    verdict = check("1.2", forgets_the_new_axes)
    assert verdict.status == "raised"
    assert "RuntimeError: The size of tensor a (3) must match the size of tensor b (5)" in verdict.message
    assert "in the line `return step_mask & dim_mask`" in verdict.message
    assert "dim_mask: a bool tensor of shape (2, 5)" in verdict.code
    assert "action_is_pad: a bool tensor of shape (2, 3)" in verdict.code
    assert "Traceback" not in repr(verdict)


def test_an_error_deep_in_a_library_is_told_with_the_line_of_the_reader():
    def answer(dim_mask, action_is_pad):
        return torch.nn.functional.softmax("no tensor", dim=-1)

    assert 'in the line `return torch.nn.functional.softmax("no tensor", dim=-1)`' in check("1.2", answer).message


@pytest.mark.parametrize("stop", [SystemExit, GeneratorExit], ids=lambda error: error.__name__)
def test_an_answer_that_wants_to_end_the_program_does_not(stop):
    def answer(dim_mask, action_is_pad):
        raise stop("bye")

    verdict = check("1.2", answer)
    assert verdict.status == "raised"
    assert f'stopped with `{stop.__name__}: bye` in the line `raise stop("bye")`' in verdict.message
    assert check("1.2", lambda dim_mask, action_is_pad: sys.exit()).status == "raised"


def test_an_interrupt_gets_through():
    def answer(dim_mask, action_is_pad):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("1.2", answer)


@every_exercise
def test_an_error_on_a_later_case_only_is_found(exercise):
    def fail(i, right):
        if i == 2:
            raise KeyError("third call")
        return right

    verdict = check(exercise.id, answer_of_calls(exercise, fail))
    assert verdict.status == "raised"
    assert "KeyError: 'third call'" in verdict.message


@every_exercise
def test_a_function_of_too_many_arguments_is_told_so(exercise):
    def answer(a, b, c, d, e, f, g):
        return a

    verdict = check(exercise.id, answer)
    assert verdict.status == "raised"
    assert "missing" in verdict.message


def test_a_long_error_message_is_cut_and_holds_no_address():
    def answer(dim_mask, action_is_pad):
        many = "word " * 1000
        raise ValueError(f"{object()} {many}" + "\nsecond" + " line")

    verdict = check("1.2", answer)
    assert len(verdict.message) < 500
    assert "0x..." in verdict.message
    assert not re.search(r"0x[0-9a-f]", repr(verdict))
    assert "second line" not in repr(verdict)


# ---------------------------------------------------------------------------------------------------------------- wrong


@every_exercise
def test_an_answer_that_is_right_on_the_first_case_only_is_refused(exercise):
    first = results(exercise.reference, exercise)[0]
    for answer in (
        answer_of_calls(exercise, lambda i, right: right if i == 0 else spoilt(right)),
        lambda *arguments: copy.deepcopy(first),
    ):
        verdict = check(exercise.id, answer)
        assert verdict.status == "wrong"
        assert verdict.misconception is None


@every_exercise
def test_one_wrong_entry_in_the_last_case_is_found(exercise):
    last = len(exercise.cases()) - 1
    verdict = check(exercise.id, answer_of_calls(exercise, lambda i, right: spoilt(right) if i == last else right))
    assert verdict.status == "wrong"
    assert "yours is" in verdict.message


def each_tensor(result, change):
    return tuple(each_tensor(part, change) for part in result) if isinstance(result, tuple) else change(result)


@every_exercise
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda x: x.double() if x.dtype != torch.float64 else x.float(), "a float", id="float"),
        pytest.param(lambda x: x.to(torch.int16), "an int16 tensor", id="int16"),
        pytest.param(lambda x: x[None], "of shape (1, ", id="one axis more"),
        pytest.param(lambda x: x[:1], "of shape (1", id="one row"),
        pytest.param(lambda x: x.tolist(), "a list of", id="list"),
        pytest.param(lambda x: x.numpy(), "a value of type ndarray", id="numpy"),
        pytest.param(lambda x: x.to_sparse(), "sparse_coo tensor", id="sparse"),
        pytest.param(lambda x: x.to("meta"), "on meta", id="another device"),
        pytest.param(lambda x: (x, x, x), "a tuple of 3", id="tuple"),
    ],
)
def test_another_type_shape_or_dtype_is_refused_and_named(exercise, change, said):
    verdict = check(exercise.id, lambda *arguments: each_tensor(exercise.reference(*arguments), change))
    assert verdict.status == "wrong"
    assert verdict.misconception is not None or said in verdict.message


def test_a_float_or_integer_mask_where_bool_is_expected_is_explained():
    right = chapter_1.action_mask
    as_float = check("1.2", lambda *arguments: right(*arguments).float())
    assert "adds a float mask to the logits" in as_float.message
    as_int = check("1.2", lambda *arguments: right(*arguments).long())
    assert "refuses an integer mask" in as_int.message


def test_what_the_messages_say_about_pytorch_is_so():
    attend = torch.nn.functional.scaled_dot_product_attention
    query, key = torch.zeros(1, 1, 1), torch.zeros(1, 2, 1)
    value = torch.tensor([[[0.0], [1.0]]])
    keep = torch.tensor([[[True, False]]])
    assert attend(query, key, value, attn_mask=keep).item() == 0
    added = attend(query, key, value, attn_mask=keep.float()).item()
    assert added == pytest.approx(1 / (1 + torch.e))  # on paper: softmax of the logits (1, 0)
    with pytest.raises(RuntimeError, match="dtype"):
        attend(query, key, value, attn_mask=keep.long())
    assert (~torch.tensor([0, 1])).tolist() == [-1, -2]
    assert (~torch.tensor([0, 1])).bool().tolist() == [True, True]
    assert torch.cat([keep, keep.long()]).dtype == torch.int64
    assert torch.tensor([0.0, -torch.inf]).bool().tolist() == [False, True]


def test_nan_is_never_equal_to_anything():
    nan = torch.tensor([1.0, torch.nan])
    assert "yours is nan" in difference(nan, torch.tensor([1.0, 2.0]))
    assert difference(nan, nan)
    assert difference(torch.nan, torch.nan)
    assert difference(torch.nan, 1.0)
    assert difference((nan,), (nan,))
    assert difference((nan, torch.nan), (nan, torch.nan), equal_nan=True) is None
    assert difference(nan, torch.tensor([1.0, 2.0]), equal_nan=True)

    def answer(*arguments):
        actions, action_is_pad = chapter_1.chunk_at(*arguments)
        return actions.masked_fill(action_is_pad[:, None], torch.nan), action_is_pad

    verdict = check("1.5", answer)
    assert verdict.status == "wrong"
    assert "yours is nan" in verdict.message


@every_exercise
def test_a_reference_gives_no_nan(exercise):
    for result in results(exercise.reference, exercise):
        for part in result if isinstance(result, tuple) else (result,):
            assert difference(part, part) is None


def test_a_known_mistake_that_gives_nan_is_called_by_its_name():
    poisoned = Misconception("poisoned", lambda parts: parts[0][:1] * torch.nan, "You have 0 times NaN.", "our own")
    exercise = toy_exercise(misconceptions=(poisoned,))
    assert grade(exercise, lambda parts: 0 * torch.tensor([torch.nan])).misconception == "poisoned"
    assert grade(exercise, lambda parts: parts[0][:1] + 1).misconception is None


def test_an_answer_of_nan_only_is_refused():
    def answer(episode, start, action_horizon):
        return torch.full((action_horizon, episode.shape[1]), torch.nan), torch.zeros(action_horizon).bool()

    assert check("1.5", answer).status == "wrong"


@every_exercise
def test_an_answer_that_changes_its_inputs_in_place_is_refused_by_name(exercise):
    def answer(*arguments):
        result = exercise.reference(*arguments)
        arguments[0].copy_(spoilt(arguments[0]))
        return result

    verdict = check(exercise.id, answer)
    assert verdict.status == "wrong"
    assert f"`{exercise.argument_names[0]}` in place" in verdict.message
    assert check(exercise.id, exercise.reference).status == "right"


def test_an_input_that_holds_nan_and_is_left_alone_counts_as_unchanged():
    exercise = toy_exercise(cases=lambda: (([torch.tensor([1.0, torch.nan])],),))
    assert grade(exercise, lambda parts: parts[0][:1]).status == "right"

    def reshapes_in_place(parts):
        return parts[0].unsqueeze_(0)[0, :1]

    assert "in place" in grade(exercise, reshapes_in_place).message


def toy_exercise(**changes):
    fields = {
        "id": "9.9",
        "title": "Take the first",
        "task": "Take the first entry of the first of `parts`.",
        "minutes": 1,
        "difficulty": 1,
        "reference": lambda parts: parts[0][:1],
        "cases": lambda: (([torch.tensor([1.0, 2.0])],),),
        "misconceptions": (Misconception("the last", lambda parts: parts[0][-1:], "Not the last.", "our own"),),
        "hints": ("a", "b"),
        "lesson": "Done.",
    }
    return Exercise(**(fields | changes))


@every_exercise
def test_the_result_of_a_call_instead_of_the_function_is_told_so(exercise):
    verdict = check(exercise.id, exercise.reference(*exercise.cases()[0]))
    assert verdict.status == "wrong"
    assert "uncalled" in verdict.message


def test_a_mistake_shown_on_some_cases_only_is_not_called_by_name():
    known = chapter_1.ACTION_MASK.misconceptions[0].answer
    right = chapter_1.action_mask
    verdict = check("1.2", lambda d, p: known(d, p) if d.shape == (2, 5) else right(d, p))
    assert verdict.status == "wrong"
    assert verdict.misconception is None


def test_the_first_case_that_differs_is_shown_with_what_was_expected():
    verdict = check("1.1", answer_of_calls(chapter_1.COUNT_REAL, lambda i, right: right + 1 if i == 1 else right))
    assert verdict.message == "Yours is 8, expected 7."
    assert words(verdict.code) == words(
        "called with action_is_pad: a bool tensor of shape (1, 3) tensor([[False, True, True]]) "
        "action_dim: an int64 tensor of shape (1,) tensor([7]) expected tensor([7]) yours tensor([8])"
    )


def test_of_large_tensors_the_first_slice_that_differs_is_shown():
    def flip(case, *places):
        def change(i, right):
            for place in places if i == case else ():
                right[place] ^= True
            return right

        return check("1.2", answer_of_calls(chapter_1.ACTION_MASK, change))

    right = chapter_1.action_mask(*chapter_1.ACTION_MASK.cases()[1])
    wrong = right[1].clone()
    wrong[3, 1] ^= True
    wrong[4, 0] ^= True
    verdict = flip(1, (1, 3, 1), (1, 4, 0), (2, 0, 0))
    assert verdict.message.startswith("3 of 105 entries differ; at [1, 3, 1], yours is ")
    assert words(verdict.code).endswith(words(f"expected at [1] {right[1]} yours at [1] {wrong}"))

    right = chapter_1.action_mask(*chapter_1.ACTION_MASK.cases()[3])
    verdict = flip(3, (1, 5, 8))
    wrong = right[1, 5].clone()
    wrong[8] ^= True
    assert words(verdict.code).endswith(words(f"expected at [1, 5] {right[1, 5]} yours at [1, 5] {wrong}"))


def test_large_tensors_of_another_shape_or_dtype_are_described():
    for change in (lambda x: x[:, :, :1], lambda x: x.long()):
        verdict = check("1.2", answer_of_calls(chapter_1.ACTION_MASK, lambda i, r, c=change: c(r) if i == 1 else r))
        assert "expected\n  a bool tensor of shape (3, 5, 7)\n\nyours\n" in verdict.code


@every_exercise
def test_what_differs_is_shown_in_every_case(exercise):
    """No case is so large that its first slice could not be printed."""
    for case in range(len(exercise.cases())):
        answer = answer_of_calls(exercise, lambda i, right, case=case: spoilt(right) if i == case else right)
        shown = check(exercise.id, answer).code.split("\n\nexpected")[1]
        assert shown.count("tensor(") >= 2
        assert "a bool tensor" not in shown


def test_large_inputs_are_described_and_not_printed():
    verdict = check("1.2", answer_of_calls(chapter_1.ACTION_MASK, lambda i, right: ~right if i == 3 else right))
    assert "dim_mask: a bool tensor of shape (5, 32)" in verdict.code
    assert "action_is_pad: a bool tensor of shape (5, 16)" in verdict.code
    assert len(verdict.code) < 800


# ----------------------------------------------------------------------------------------------- difference, in general

floats = st.lists(st.floats(allow_nan=False, width=32, min_value=-1e6, max_value=1e6), min_size=1, max_size=12)


@patiently
@given(floats, st.data())
def test_a_tensor_equals_itself_and_nothing_that_was_changed_at_one_place(values, data):
    expected = torch.tensor(values)
    assert difference(expected.clone(), expected) is None
    place = data.draw(st.integers(0, len(values) - 1))
    for wrong in (torch.nan, torch.inf, values[place] + abs(values[place]) * 1e-3 + 1e-3):
        got = expected.clone()
        got[place] = wrong
        where = f"1 of {len(values)} entries differ; at [{place}], " if len(values) > 1 else ""
        assert difference(got, expected).startswith(f"{where}yours is ")


@patiently
@given(st.integers(-5, 5), st.booleans(), st.floats(allow_nan=False))
def test_plain_numbers_are_compared_with_their_type(integer, truth, real):
    assert difference(integer, integer) is None
    assert difference(truth, truth) is None
    assert difference(real, real) is None
    assert difference(integer, float(integer))
    assert difference(int(truth), truth)
    assert difference(truth, int(truth))
    assert difference(integer + 1, integer) == f"got {integer + 1}, expected {integer}"


@patiently
@given(st.data())
def test_any_flipped_entry_of_any_case_is_found(data):
    exercise = chapter_1.BACKBONE_ATTENTION_MASK
    which = data.draw(st.integers(0, len(exercise.cases()) - 1))

    def flip(i, right):
        if i == which:
            row, column = (data.draw(st.integers(0, size - 1)) for size in right.shape)
            right[row, column] ^= True
        return right

    verdict = grade(exercise, answer_of_calls(exercise, flip))
    assert verdict.status == "wrong"
    assert verdict.misconception is None
    assert verdict.message.startswith("1 of ")


def test_tuples_say_which_part_differs():
    expected = (torch.tensor([1]), torch.tensor([True]))
    assert difference(expected, expected) is None
    wrong = (torch.tensor([1]), torch.tensor([False]))
    assert difference(wrong, expected) == "result 2 of 2: yours is False, expected True"
    assert difference(list(expected), expected).startswith("got a list of 2")
    assert difference(expected[0], expected).startswith("got an int64 tensor of shape (1,), expected a tuple of 2")


def test_a_result_with_a_gradient_is_compared_by_value():
    leaf = torch.tensor([1.0], requires_grad=True)
    assert difference(leaf * 2, torch.tensor([2.0])) is None
    assert difference(leaf * 2, torch.tensor([3.0])) == "yours is 2.0, expected 3.0"
    assert difference(leaf * 2, torch.tensor(2.0)).startswith("got a float32 tensor of shape (1,)")
    assert difference(torch.tensor(3.0), torch.tensor(2.0)) == "yours is 3.0, expected 2.0"


# ------------------------------------------------------------------------------------------------- what the reader sees


def verdicts(exercise):
    answers = [exercise.reference, ..., 7, body_is_dots, lambda: 0, lambda *a: [object()]]
    answers += [known.answer for known in exercise.misconceptions]
    answers.append(lambda *arguments: spoilt(exercise.reference(*arguments)))
    return [check(exercise.id, answer) for answer in answers]


def cards(exercise):
    return [*verdicts(exercise), hint(exercise.id), hints(exercise.id), solution(exercise.id), progress()]


@every_exercise
def test_html_says_the_same_words_as_the_text_and_names_the_status(exercise):
    for card in cards(exercise):
        html = card._repr_html_()
        root = ElementTree.fromstring(html)
        assert words(" ".join(root.itertext())).replace(" ", "") == words(repr(card)).replace("`", "").replace(" ", "")
    for verdict in verdicts(exercise):
        strong = ElementTree.fromstring(verdict._repr_html_()).find("p/strong")
        assert verdict.status in strong.text
        assert exercise.id in strong.text


@every_exercise
def test_html_has_no_ids_scripts_or_addresses_and_is_the_same_each_time(exercise):
    before, after = cards(exercise), cards(exercise)
    for card, again in zip(before[:-4] + before[-3:], after[:-4] + after[-3:], strict=True):  # hints move on
        html = card._repr_html_()
        assert html == again._repr_html_()
        assert repr(card) == repr(again)
        assert not re.search(r"\bid=|<script|<style|src=|0x[0-9a-f]", html)


def test_links_end_where_the_address_ends():
    card = Card("Head", "See https://github.com/a/b/issues/19. Or https://github.com/c/d/pull/7 and more.")
    links = [link.get("href") for link in ElementTree.fromstring(card._repr_html_()).iter("a")]
    assert links == ["https://github.com/a/b/issues/19", "https://github.com/c/d/pull/7"]


@patiently
@given(st.text())
def test_whatever_an_error_says_it_is_text_and_not_html(text):
    def answer(dim_mask, action_is_pad):
        raise ValueError(f"<b onload=x> {text}")

    verdict = grade(chapter_1.ACTION_MASK, answer)
    assert verdict.status == "raised"
    assert "<b" not in verdict._repr_html_()
    assert "&lt;b" in verdict._repr_html_()


def test_verdicts_are_the_same_in_another_process():
    program = (
        "from groot_teach.exercises import CHAPTERS, check\n"
        "for chapter in CHAPTERS:\n"
        "    for e in chapter.EXERCISES:\n"
        "        for answer in (..., e.reference, *(m.answer for m in e.misconceptions), lambda *a: object):\n"
        "            print(check(e.id, answer)._repr_html_())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        timeout=120,
    )
    answers = [(e, (..., e.reference, *(m.answer for m in e.misconceptions), lambda *a: object)) for e in ALL]
    here = [check(e.id, answer)._repr_html_() for e, given_answers in answers for answer in given_answers]
    assert run.stdout == "".join(f"{html}\n" for html in here)
    assert run.stderr == ""


@every_exercise
def test_hints_come_one_by_one_and_stay_at_the_last(exercise):
    count = len(exercise.hints)
    for step in [*range(1, count + 1), count]:
        card = hint(exercise.id)
        assert card.headline.endswith(f"hint {step} of {count}")
        assert exercise.hints[step - 1] in card.message
    assert "solution(" in hint(exercise.id).message


def test_a_hint_asked_for_by_number_does_not_move_the_others_on():
    assert "hint 3 of 3" in repr(hint("1.2", step=3))
    assert "hint 1 of 3" in repr(hint("1.2"))
    assert "hint 1 of 3" in repr(hint("1.1"))
    assert "hint 2 of 3" in repr(hint("1.2"))


@pytest.mark.parametrize(
    ("step", "got"),
    [(0, "0"), (4, "4"), (-1, "-1"), (True, "True"), (1.5, "1.5"), (2.0, "2.0"), ("1", "'1'"), ([], "a list")],
)
def test_a_step_that_is_no_hint_is_an_error_that_says_what_is(step, got):
    with pytest.raises(ValueError, match=re.escape(f"step: got {got}, expected a whole number from 1 to 3")):
        hint("1.2", step)


@every_exercise
def test_all_hints_stand_on_one_card_in_order_and_leave_the_single_ones_alone(exercise):
    card = hints(exercise.id)
    count = len(exercise.hints)
    assert card.headline == f"{exercise.heading}: all {count} hints"
    assert card.message.split("\n\n") == [f"{i + 1}. {exercise.hints[i]}" for i in range(count)]
    assert "hint(" not in repr(card)
    assert "hint 1 of" in repr(hint(exercise.id))
    hints(exercise.id)
    assert "hint 2 of" in repr(hint(exercise.id))


@every_exercise
def test_the_shown_solution_runs_on_its_own_and_is_right(exercise):
    card = solution(exercise.id)
    space = {"torch": torch}
    exec(card.code, space)
    assert check(exercise.id, space[exercise.reference.__name__]).status == "right"
    assert card.code in repr(card)


@pytest.mark.parametrize(
    "call", [lambda e: check(e, body_is_dots), hint, hints, solution], ids=["check", "hint", "hints", "solution"]
)
@pytest.mark.parametrize(
    ("exercise_id", "got"), [("1.9", "'1.9'"), (1.2, "1.2"), ("", "''"), (body_is_dots, "a function")]
)
def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones(call, exercise_id, got):
    with pytest.raises(ValueError, match=re.escape(f"exercise_id: got {got}, expected one of '1.1', '1.2', '1.3'")):
        call(exercise_id)


# ------------------------------------------------------------------------------------------------------------- progress


def states():
    return {row[0]: row[4] for row in progress().rows[1:]}


def test_progress_is_kept_from_one_session_to_the_next(progress_path, monkeypatch):
    assert states()["1.2"] == "not yet"
    check("1.2", chapter_1.action_mask)
    new_session(monkeypatch)
    check("1.1", chapter_1.count_real)
    new_session(monkeypatch)
    assert states()["1.1"] == states()["1.2"] == "done"
    assert states()["1.3"] == "not yet"
    assert states()["chapter 1"] == "2 of 5 done"
    assert json.loads(progress_path.read_text()) == {"done": ["1.1", "1.2"]}
    assert [entry.name for entry in progress_path.parent.iterdir()] == ["progress.json"]
    assert progress().message == ""


def test_only_a_right_answer_is_remembered_and_a_later_wrong_one_takes_nothing_away(progress_path):
    for answer in (..., body_is_dots, forgets_the_new_axes, chapter_1.ACTION_MASK.misconceptions[0].answer):
        check("1.2", answer)
    progress()
    assert not progress_path.exists()
    check("1.2", chapter_1.action_mask)
    check("1.2", forgets_the_new_axes)
    assert states()["1.2"] == "done"


def test_progress_counts_exercises_and_the_minutes_that_are_left():
    total = sum(exercise.minutes for exercise in ALL)
    assert progress().headline == f"0 of {len(ALL)} exercises done, about {total} minutes to go"
    check("1.1", chapter_1.count_real)
    left = total - chapter_1.COUNT_REAL.minutes
    assert progress().headline == f"1 of {len(ALL)} exercises done, about {left} minutes to go"
    for exercise in ALL:
        check(exercise.id, exercise.reference)
    assert progress().headline == f"{len(ALL)} of {len(ALL)} exercises done"


def test_ids_of_a_newer_book_are_kept(progress_path, monkeypatch):
    progress_path.parent.mkdir()
    progress_path.write_text('{"done": ["42.1"]}')
    check("1.1", chapter_1.count_real)
    assert json.loads(progress_path.read_text()) == {"done": ["1.1", "42.1"]}
    assert progress().headline.startswith("1 of ")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"done": 3}', b'{"done": [1]}', b"{}", b"\xff\xfe", b"null"], ids=repr
)
def test_a_damaged_file_is_left_alone_and_told_of(progress_path, content):
    progress_path.parent.mkdir()
    progress_path.write_bytes(content)
    assert check("1.1", chapter_1.count_real).status == "right"
    assert states()["1.1"] == "done"  # in this session
    assert "damaged" in progress().message
    assert "Rename or delete it" in progress().message
    assert str(progress_path) in progress().message
    assert progress_path.read_bytes() == content


def test_a_place_that_cannot_be_written_does_not_stop_an_exercise(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file" / "progress.json", tmp_path):
        monkeypatch.setenv("GROOT_TEACH_PROGRESS", str(place))
        assert check("1.1", chapter_1.count_real).status == "right"
        assert states()["1.1"] == "done"
        assert f"Progress is not kept: `{place}` cannot be used" in progress().message


def test_a_save_that_fails_half_way_leaves_the_old_file_and_no_draft(progress_path, monkeypatch):
    check("1.1", chapter_1.count_real)
    before = progress_path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        assert check("1.2", chapter_1.action_mask).status == "right"
        assert "No space left on device" in progress().message
        assert states()["1.2"] == "done"
    assert progress_path.read_bytes() == before
    assert [entry.name for entry in progress_path.parent.iterdir()] == ["progress.json"]
    assert progress().message == ""  # tried again, and kept
    assert json.loads(progress_path.read_text()) == {"done": ["1.1", "1.2"]}


def test_without_the_variable_the_file_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GROOT_TEACH_PROGRESS")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    check("1.1", chapter_1.count_real)
    assert json.loads((tmp_path / ".groot_teach" / "progress.json").read_text()) == {"done": ["1.1"]}
    monkeypatch.setenv("GROOT_TEACH_PROGRESS", "~/elsewhere.json")
    assert progress_file.path() == tmp_path / "elsewhere.json"


def test_no_home_folder_is_no_obstacle(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GROOT_TEACH_PROGRESS")
    monkeypatch.setattr(progress_file.Path, "home", no_home)
    assert check("1.1", chapter_1.count_real).status == "right"
    assert "Set `GROOT_TEACH_PROGRESS`" in progress().message


@every_exercise
def test_a_verdict_does_not_depend_on_progress(exercise, progress_path, monkeypatch):
    fresh = [repr(verdict) for verdict in verdicts(exercise)]
    assert [repr(verdict) for verdict in verdicts(exercise)] == fresh  # now done
    progress_path.write_text("{")
    assert [repr(verdict) for verdict in verdicts(exercise)] == fresh
    monkeypatch.setenv("GROOT_TEACH_PROGRESS", "/dev/null/progress.json")
    assert [repr(verdict) for verdict in verdicts(exercise)] == fresh


# -------------------------------------------------------------- chapter 1: on paper, and against the library it teaches


def test_chapter_1_references_give_what_paper_gives():
    pad = torch.tensor([[False, True]])
    assert chapter_1.count_real(pad, torch.tensor([3])).tolist() == [3]
    mask = chapter_1.action_mask(torch.tensor([[True, True, False]]), pad)
    assert mask.tolist() == [[[True, True, False], [False, False, False]]]
    assert chapter_1.backbone_attention_mask(torch.tensor([1, 3]), 3).tolist() == [[False, False, True], [True] * 3]
    row = chapter_1.may_be_read(torch.tensor([[True, False]]), 2, torch.tensor([[0, 1]]))
    assert row.tolist() == [[True, True, False, False, False, True]]
    actions, action_is_pad = chapter_1.chunk_at(torch.tensor([[1.0], [2.0], [3.0]]), 1, 3)
    assert actions.tolist() == [[2.0], [3.0], [3.0]]
    assert action_is_pad.tolist() == [False, False, True]


def test_chapter_1_references_agree_with_the_library():
    for dim_mask, action_is_pad in chapter_1.ACTION_MASK.cases():
        library = action_mask_dims_and_steps(dim_mask, ~action_is_pad)
        assert torch.equal(chapter_1.action_mask(dim_mask, action_is_pad), library)
        counted = chapter_1.count_real(action_is_pad, dim_mask.sum(dim=1))
        assert torch.equal(counted, library.sum(dim=(1, 2)))
        copies_kept = chapter_1.ACTION_MASK.misconceptions[0].answer
        n1_5 = action_mask_dims_only(dim_mask, action_is_pad.shape[1])
        assert torch.equal(copies_kept(dim_mask, action_is_pad), n1_5)
    for prompt_len, key_len in chapter_1.BACKBONE_ATTENTION_MASK.cases():
        prompts = [torch.ones(length, dtype=torch.bool) for length in prompt_len.tolist()]
        library = pad_tokens_left([VLTokens(torch.zeros(len(p), 2), ~p, p) for p in prompts], key_len)
        mine = chapter_1.backbone_attention_mask(prompt_len, key_len)
        assert torch.equal(mine, library.backbone_attention_mask)
    for camera_is_present, seats, token_mask in chapter_1.MAY_BE_READ.cases():
        mine = chapter_1.may_be_read(camera_is_present, seats, token_mask)
        for sample, present in enumerate(camera_is_present):
            cameras = [torch.ones(seats, 2) if here else None for here in present]
            library = join_tokens(cameras, torch.ones(token_mask.shape[1], 2))
            image_seats = library.image_mask.sum()
            assert torch.equal(mine[sample, :image_seats], library.real_mask[:image_seats])
    for episode, start, action_horizon in chapter_1.CHUNK_AT.cases():
        actions, action_is_pad = chapter_1.chunk_at(episode, start, action_horizon)
        library = pad_steps_with_copies(episode[start : start + action_horizon], action_horizon)
        assert torch.equal(actions, library.actions)
        assert torch.equal(action_is_pad, library.action_is_pad)


# ------------------------------------------------------------------------------------------------- in the chapters


@pytest.mark.parametrize("number", range(1, len(CHAPTERS) + 1))
def test_a_chapter_poses_its_exercises_as_they_are_checked(number):
    """The page, the stub and the checker cannot drift apart: same task, same minutes, same arguments in order."""
    (notebook,) = (Path(__file__).parents[1] / "notebooks").glob(f"{number:02}_*.ipynb")
    cells = [cell["source"] for cell in nbformat.read(notebook, as_version=4).cells]
    for exercise in CHAPTERS[number - 1].EXERCISES:
        (posed,) = [place for place, source in enumerate(cells) if source.startswith(f"### {exercise.heading}\n")]
        assert f"*{exercise.minutes} minutes, difficulty {'●' * exercise.difficulty}" in cells[posed]
        assert exercise.task in cells[posed]
        assert f"def my_{exercise.reference.__name__}({', '.join(exercise.argument_names)}):" in cells[posed + 1]
        assert f'check("{exercise.id}", my_{exercise.reference.__name__})' in cells[posed + 1]
