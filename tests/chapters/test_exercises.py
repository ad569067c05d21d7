"""Every exercise of every chapter: what is right passes, and what is wrong is refused, by name where it has one.

What is special to one chapter is in the tests of that chapter; the engine is tested in tests/show.
"""

import ast
import copy
import itertools
from html import escape
from pathlib import Path

import nbformat
import pytest
import torch

from groot_teach.chapters import OLD_IDS, TOPICS, chapter, hints, on_paper, progress, solution
from groot_teach.show.exercises import grade
from groot_teach.show.exercises.compare import SMALL, difference, show
from groot_teach.show.exercises.universal import candidates
from tools import mutate

EXERCISES = [exercise for topic in TOPICS for exercise in chapter(topic).exercises]
every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)

CHANGES_NOTHING = {
    "velocity.4": ["dtype=noise.dtype) -> torch.full((len(noise),), step / steps)"],  # float32 is exact enough
    "velocity.6": ["dtype=noise.dtype) -> torch.full((len(noise),), step / steps)"],
    "loss.4": [".sum -> torch.where(action_mask, squared_error, 0.0).mean"],  # a constant, and shares have none
    "attention.2": ["-1 -> 1"],  # the last axis is axis 1
    "passing_masks.1": ["0 -> -1"],  # comes to the same in a sum of one axis
    "attention.3": ["steps[:, None] > steps -> steps[:, None] >= steps"],
    "passing_masks.2": ["attention_mask.any(dim=-1, keepdim=True) -> attention_mask"],
    "dropped.4": ["seed.argsort(dim=1) -> seed.argsort()"],
    "bugs.2": ["(after - before).abs() <= tolerance -> (after - before).abs() < tolerance"],
    "bugs.3": ["zip(tokens, real, strict=True) -> zip(tokens, real)", "True -> False"],
    "bugs.6": ["0 -> -1"],
    "audit.1": ["embodiment_id.tolist() -> embodiment_id"],
    "audit.3": ["1.0 -> 2.0", "1.0 -> 0.0"],
    "audit.6": [".long() -> "],
}
"""Mutants of a reference that are right too, by the end or the whole of what was changed."""


def results(answer, exercise):
    return [answer(*copy.deepcopy(arguments)) for arguments in exercise.cases()]


def differ(some, others):
    return any(difference(one, other) for one, other in zip(some, others, strict=True))


@every_exercise
def test_an_exercise_is_complete(exercise):
    assert exercise.title
    assert exercise.lesson.endswith((".", "?"))
    assert 1 <= exercise.minutes <= 30
    assert exercise.difficulty in (1, 2, 3)
    assert len(set(exercise.hints)) == len(exercise.hints) >= 2
    assert all(f"`{name}`" in exercise.task for name in exercise.argument_names)
    assert hints(exercise.id).message.count("\n\n") == len(exercise.hints) - 1
    assert all(known.message.endswith(".") and known.source for known in exercise.mistakes)
    assert exercise.mistakes


def test_ids_go_on_from_one_in_each_chapter_and_none_of_the_old_ones_is_lost():
    for topic in TOPICS:
        numbers = range(1, len(chapter(topic).exercises) + 1)
        assert [exercise.id for exercise in chapter(topic).exercises] == [f"{topic}.{number}" for number in numbers]
        assert chapter(topic).title.endswith(("?", "."))
    ids = [exercise.id for exercise in EXERCISES]
    assert {*OLD_IDS.values()} == {*ids}
    assert [row[0] for row in progress().rows if "." in row[0]] == ids
    for number, topic in enumerate(TOPICS, start=1):
        own = [exercise.id for exercise in chapter(topic).exercises]
        assert [row[0] for row in progress(topic).rows] == ["exercise", f"chapter {number}", *own]


@every_exercise
def test_cases_are_the_same_each_time_begin_small_and_come_in_several_shapes(exercise):
    first, second = exercise.cases(), exercise.cases()
    assert len(first) == len(second) >= 4
    for one, other in zip(first, second, strict=True):
        assert difference(tuple(one), tuple(other), equal_nan=True) is None
        assert one[0] is not other[0]  # made anew, so that no answer can spoil them
    assert all(value.numel() <= 30 for value in first[0] if isinstance(value, torch.Tensor))
    shapes = {tuple(tuple(value.shape) for value in case if isinstance(value, torch.Tensor)) for case in first}
    assert len(shapes) >= 3


@every_exercise
def test_the_reference_and_the_shown_solution_are_right(exercise):
    verdict = grade(exercise, exercise.reference)
    assert verdict.status == "right"
    assert exercise.lesson in verdict.message
    space = {"torch": torch}
    assert ":\n\n" not in solution(exercise.id).code  # no empty line where the docstring was
    exec(solution(exercise.id).code, space)
    assert grade(exercise, space[exercise.reference.__name__]).status == "right"


@every_exercise
def test_every_known_mistake_is_refused_with_its_own_name_and_message(exercise):
    for known in exercise.mistakes:
        verdict = grade(exercise, known.answer)
        assert (verdict.status, verdict.mistake) == ("wrong", known.name)
        assert verdict.message == f"{known.message}\n\nSource: {known.source}."


@every_exercise
def test_known_mistakes_differ_from_each_other_and_from_the_reference(exercise):
    answers = [exercise.reference, *(known.answer for known in exercise.mistakes)]
    for one, other in itertools.permutations([results(answer, exercise) for answer in answers], 2):
        assert differ(one, other)
    assert len({known.name for known in exercise.mistakes}) == len(exercise.mistakes)


@every_exercise
def test_the_cases_show_every_universal_mistake_except_those_that_change_nothing(exercise):
    expected = results(exercise.reference, exercise)
    mistakes = list(candidates(exercise, expected))
    unseen = {mistake.name for mistake in mistakes if not differ(mistake.results, expected)}
    assert unseen == set(exercise.unaffected_by)
    assert len(mistakes) > len(unseen)


def mutants(exercise):
    """The reference with one change each: what changed, and the function."""
    tree = ast.parse(exercise.solution)
    first_bindings = mutate.find_first_bindings(tree)
    for parent, field, place, node, *_ in mutate.places(tree):
        for other in (*mutate.expressions(node), *mutate.statements(node, first_bindings)):
            if ast.dump(node) == ast.dump(other) or is_order_of_axes(node):
                continue
            mutate.put(parent, field, place, other)
            code = compile(ast.fix_missing_locations(tree), "mutant", "exec")
            mutate.put(parent, field, place, node)
            space = dict(exercise.reference.__globals__)
            exec(code, space)
            yield mutate.difference(node, other), space[exercise.reference.__name__]


def is_order_of_axes(node):
    """`dim=(1, 2)` sums the same as `dim=(2, 1)`."""
    return isinstance(node, ast.Tuple) and all(isinstance(item, ast.Constant) for item in node.elts)


def is_right(answer, exercise, expected):
    try:
        for arguments, right in zip(exercise.cases(), expected, strict=True):
            if difference(answer(*arguments), right):
                return False
    except Exception:
        return False
    return True


@every_exercise
@pytest.mark.filterwarnings("ignore")  # a mutant may divide by nothing, or index with a float
def test_the_cases_refuse_every_small_change_of_the_reference(exercise):
    expected = results(exercise.reference, exercise)
    survivors = [change for change, answer in mutants(exercise) if is_right(answer, exercise, expected)]
    known = CHANGES_NOTHING.get(exercise.id, [])
    assert [change for change in survivors if not any(words in change for words in known)] == []
    assert all(any(words in change for change in survivors) for words in known)


@pytest.mark.parametrize("number", range(1, len(TOPICS) + 1))
def test_a_chapter_poses_its_exercises_as_they_are_checked(number):
    """The page, the function to fill in and the checker agree: same task, minutes and arguments."""
    (notebook,) = (Path(__file__).parents[2] / "notebooks").glob(f"{number:02}_*.ipynb")
    cells = [cell["source"] for cell in nbformat.read(notebook, as_version=4).cells]
    for exercise in chapter(TOPICS[number - 1]).exercises:
        (posed,) = [place for place, source in enumerate(cells) if source.startswith(f"### {exercise.heading}\n")]
        assert f"*{exercise.minutes} minutes, difficulty {'●' * exercise.difficulty}" in cells[posed]
        assert exercise.task in cells[posed]
        assert f"def my_{exercise.reference.__name__}({', '.join(exercise.argument_names)}):" in cells[posed + 1]
        assert f'check("{exercise.id}", my_{exercise.reference.__name__})' in cells[posed + 1]
        assert cells[posed + 2] == f'on_paper("{exercise.id}")'


@every_exercise
def test_a_reader_without_a_kernel_works_out_the_first_case_and_unfolds_its_answer(exercise):
    card = on_paper(exercise.id)
    assert card.answer == show(exercise(*exercise.cases()[0]))
    assert all(name in card.code for name in exercise.argument_names)
    assert "tensor of shape" not in card.answer
    assert all(value.numel() <= SMALL for value in exercise.cases()[0] if isinstance(value, torch.Tensor))
    assert card._repr_html_().index("<details") < card._repr_html_().index(escape(card.answer))
    assert card.answer in repr(card)
