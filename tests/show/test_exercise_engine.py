"""How an answer is judged, what the reader sees of it, and how progress is kept: with a small exercise of our own."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot_teach import chapters
from groot_teach.chapters import OLD_IDS, check, hint, hints, progress, solution
from groot_teach.show.exercises import Card, Exercise, exercise, grade, progress_file
from groot_teach.show.exercises.compare import difference

patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure


def values(*shape):
    return torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=torch.float64).reshape(shape).square()


def one_exercise() -> Exercise:
    @exercise(
        "padding.99",
        minutes=1,
        difficulty=1,
        cases=lambda: (
            (values(2, 3), torch.tensor([[True, False, True], [False, True, False]])),
            (values(3, 3), torch.eye(3).bool()),
            (values(2, 70), torch.rand(2, 70, generator=torch.Generator().manual_seed(0)) < 0.5),
        ),
        hints=("Use the mask.", "Multiply."),
        lesson="Done.",
    )
    def keep_real(numbers, real_mask):
        """Keep the real numbers

        Return `numbers` where `real_mask` (True = real)
        is True, and 0 elsewhere.
        """
        zero = 0.0  # where nothing is real
        return torch.where(real_mask, numbers, zero)

    @keep_real.mistake("padding is kept")
    def _(numbers, real_mask):
        """You kept all.
        Look at the mask.
        Source: a thread,
        https://github.com/a/b/issues/19"""
        return numbers.clone()

    @keep_real.mistake("poisoned")
    def _(numbers, real_mask):
        """You have 0 times NaN."""
        return numbers * torch.nan

    return keep_real


KEEP = one_exercise()


def words(text):
    return re.sub(r"\s+", " ", text).strip()


def of_calls(change):
    """The reference, but call number `i` returns `change(i, right result)`."""
    calls = iter(range(10**6))
    return lambda *arguments: change(next(calls), KEEP.reference(*arguments))


# ----------------------------------------------------------------------------------------- how an exercise is written


def test_the_docstring_is_the_title_and_the_task_and_the_solution_is_the_code_without_it():
    assert KEEP.heading == "padding.99 Keep the real numbers"
    assert KEEP.task == "Return `numbers` where `real_mask` (True = real) is True, and 0 elsewhere."
    assert KEEP.argument_names == ("numbers", "real_mask")
    assert KEEP.solution == (
        "def keep_real(numbers, real_mask):\n"
        "    zero = 0.0  # where nothing is real\n"
        "    return torch.where(real_mask, numbers, zero)"
    )
    assert torch.equal(KEEP(*KEEP.cases()[0]), KEEP.reference(*KEEP.cases()[0]))
    first, second = KEEP.mistakes
    assert (first.name, first.message) == ("padding is kept", "You kept all. Look at the mask.")
    assert (first.source, second.source) == ("a thread, https://github.com/a/b/issues/19", "our own")


def test_a_mistake_without_words_is_an_error():
    with pytest.raises(ValueError, match="silent: got no docstring, expected one"):

        @KEEP.mistake("silent")
        def silent(numbers, real_mask):
            return numbers


def test_a_bug_of_the_catalogue_becomes_a_mistake_by_an_adapter_or_by_an_answer():
    class Bug:
        name, message, source = "no mask", "The mask is not used.", "https://github.com/c/d/pull/7"

        @staticmethod
        def wrong(batch):
            return batch["numbers"] + 0

    mine = one_exercise()
    mine.mistakes.clear()
    mine.made_by(Bug(), by=lambda bug: lambda numbers, real_mask: bug.wrong({"numbers": numbers}))

    @mine.mistake(Bug())
    def _(numbers, real_mask):
        return 2 * numbers

    for wrong in (1, 2):
        verdict = grade(mine, lambda numbers, real_mask, wrong=wrong: wrong * numbers)
        assert verdict.mistake == "no mask"
        assert verdict.message == "The mask is not used.\n\nSource: https://github.com/c/d/pull/7."


# ------------------------------------------------------------------------------------------------------ the verdicts


def dots(*arguments):
    return ...


def nothing(*arguments): ...


def unwritten(*arguments):
    raise NotImplementedError


def unwritten_with_words(*arguments):
    raise NotImplementedError("your code here")


@pytest.mark.parametrize("answer", [None, ..., dots, nothing, unwritten, unwritten_with_words])
def test_a_blank_answer_is_not_attempted(answer):
    assert grade(KEEP, answer).status == "not attempted"


def test_a_stub_is_told_what_it_returns_and_an_answer_blank_on_some_cases_is_wrong():
    assert grade(KEEP, dots).message == 'Your function still gives the dots. A nudge: `hint("padding.99")`.'
    assert grade(KEEP, nothing).message.startswith("Your function gives nothing yet. Is a `return` missing?")
    verdict = grade(KEEP, of_calls(lambda i, right: None if i else right))
    assert verdict.status == "wrong"
    assert verdict.message.startswith("Got None (is a `return` missing?)")


def test_an_error_is_told_with_the_line_of_the_reader_and_the_arguments():
    def answer(numbers, real_mask):
        return torch.nn.functional.softmax(numbers @ real_mask.double(), dim=7)

    verdict = grade(KEEP, answer)
    assert verdict.status == "raised"
    assert "stopped with `RuntimeError: mat1 and mat2 shapes cannot be multiplied" in verdict.message
    assert "in the line `return torch.nn.functional.softmax(numbers @ real_mask.double(), dim=7)`" in verdict.message
    assert "numbers: a float64 tensor of shape (2, 3)" in verdict.code
    assert "Traceback" not in repr(verdict)


def test_an_operation_that_pytorch_has_not_implemented_is_an_attempt():
    verdict = grade(KEEP, lambda numbers, real_mask: real_mask @ real_mask.T)
    assert (verdict.status, "NotImplementedError" in verdict.message) == ("raised", True)


def test_the_end_of_the_program_is_part_of_the_verdict_and_an_interrupt_gets_through():
    assert grade(KEEP, lambda numbers, real_mask: sys.exit("bye")).message.startswith(
        "Your function stopped with `SystemExit: bye`"
    )

    def interrupted(numbers, real_mask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(KEEP, interrupted)


def test_a_long_error_is_cut_to_its_first_line_without_addresses():
    def answer(numbers, real_mask):
        raise ValueError(f"{object()} {'word ' * 1000}" + "\nsecond" + " line")

    verdict = grade(KEEP, answer)
    assert len(verdict.message) < 500
    assert "0x..." in verdict.message
    assert not re.search(r"0x[0-9a-f]|second line", repr(verdict))


def test_a_result_in_place_of_the_function_and_a_changed_input_are_told():
    assert "uncalled" in grade(KEEP, torch.ones(2)).message

    def in_place(numbers, real_mask):
        numbers *= real_mask
        return numbers

    verdict = grade(KEEP, in_place)
    assert verdict.status == "wrong"
    assert "changes `numbers` in place" in verdict.message
    assert grade(KEEP, KEEP.reference).message == "All 3 cases agree. Done."


def test_an_input_that_holds_nan_and_is_left_alone_counts_as_unchanged():
    cases = ((torch.tensor([1.0, torch.nan]),),)
    first = Exercise("padding.98", "First", "", 1, 1, lambda part: part[:1], lambda: cases, (), "Done.")
    assert grade(first, lambda part: part[:1]).status == "right"
    assert "in place" in grade(first, lambda part: part.unsqueeze_(0)[0, :1]).message


def test_the_first_difference_is_shown_and_of_large_tensors_the_first_slice():
    def plus_one(where):
        def change(i, right):
            if i == where:
                right[1, 1] += 1
            return right

        return grade(KEEP, of_calls(change))

    small = plus_one(1)
    assert small.message == "1 of 9 entries differ; at [1, 1], yours is 26.0, expected 25.0."
    assert words(small.code).startswith("called with numbers: a float64 tensor of shape (3, 3) tensor([[")
    large = plus_one(2)
    assert "numbers: a float64 tensor of shape (2, 70)\n" in large.code
    assert "expected at [1]\n  a float64 tensor of shape (70,)" in large.code


# ------------------------------------------------------------------------------------------------------ the mistakes


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("padding is kept", lambda n, m: 1 * n),
        ("poisoned", lambda n, m: torch.full_like(n, torch.nan)),
        ("float32 instead of float64 in the result", lambda n, m: (n * m).float()),
        ("int64 instead of float64 in the result", lambda n, m: (n * m).long()),
        ("`real_mask` is negated", lambda n, m: n * ~m),
        ("axes 0 and 1 of the result are swapped", lambda n, m: (n * m).T),
        ("the batch is averaged in the result", lambda n, m: (n * m).mean(0)),
        ("the batch is summed in the result", lambda n, m: (n * m).sum(0)),
        ("the batch is averaged for every sample in the result", lambda n, m: 0 * n + (n * m).mean(0)),
        (None, lambda n, m: n * m + 1),
        (None, of_calls(lambda i, right: right + 1 if i == 1 else right)),
    ],
)
def test_a_mistake_is_called_by_its_name_however_it_is_written(name, answer):
    verdict = grade(KEEP, answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)
    assert (f"({name})" if name else "wrong") in verdict.headline


def test_a_universal_mistake_is_explained_and_shown_with_its_first_difference():
    verdict = grade(KEEP, lambda numbers, real_mask: numbers * ~real_mask)
    assert verdict.message.startswith("You return what would be right for `~real_mask`.")
    assert verdict.message.endswith("6 of 6 entries differ; at [0, 0], yours is 0.0, expected 1.0.")
    assert "yours" in verdict.code


def two_results() -> Exercise:
    def halves(numbers):
        return numbers.sum(dim=1), numbers > 10

    cases = ((values(2, 3),), (values(3, 3),))
    made = Exercise("padding.97", "Halves", "", 1, 1, halves, lambda: cases, (), "Done.")

    @made.mistake("half")
    def _(numbers):
        """You took half, and who does so may return anything else beside it."""
        return (numbers.sum(dim=1) / 2, ...) if len(numbers) < 3 else ...

    return made


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("axes 0 and 1 of `numbers` are swapped", lambda n: (n.sum(0), (n > 10).T)),
        ("result 2 is negated", lambda n: (n.sum(1), n <= 10)),
        ("the batch is reduced by any() in result 2", lambda n: (n.sum(1), (n > 10).any(0))),
        ("half", lambda n: (n.sum(1) / 2, "anything") if len(n) < 3 else 7),
        (None, lambda n: (n.sum(1) / 3, "anything") if len(n) < 3 else 7),
        (None, lambda n: (n.sum(1), ...)),  # only a mistake may leave things open
    ],
)
def test_parts_of_a_result_and_what_a_mistake_leaves_open(name, answer):
    verdict = grade(two_results(), answer)
    assert (verdict.status, verdict.mistake) == ("wrong", name)


def test_a_universal_mistake_that_changes_nothing_on_the_cases_is_never_a_name():
    mirrored = tuple((part + part.T,) for part in (values(2, 2), values(3, 3)))
    total = Exercise("padding.96", "Rows", "", 1, 1, lambda part: part.sum(dim=1), lambda: mirrored, (), "Done.")
    assert grade(total, lambda part: part.sum(dim=0)).status == "right"
    assert grade(total, lambda part: part.sum(dim=0) + 1).mistake is None


def test_what_the_messages_say_about_masks_in_pytorch_is_so():
    attend = torch.nn.functional.scaled_dot_product_attention
    query, key, value = torch.zeros(1, 1, 1), torch.zeros(1, 2, 1), torch.tensor([[[0.0], [1.0]]])
    keep = torch.tensor([[[True, False]]])
    added = attend(query, key, value, attn_mask=keep.float()).item()
    assert added == pytest.approx(1 / (1 + torch.e))  # on paper: softmax of the logits (1, 0)
    with pytest.raises(RuntimeError, match="dtype"):
        attend(query, key, value, attn_mask=keep.long())
    assert (~torch.tensor([0, 1])).bool().tolist() == [True, True]
    assert "adds a float mask to the logits" in difference(keep.float(), keep)
    assert "refuses an integer mask" in difference(keep.long(), keep)


# --------------------------------------------------------------------------------------------- how two results differ


def test_nan_is_never_right():
    nan = torch.tensor([1.0, torch.nan])
    assert difference(nan, nan)
    assert difference((torch.nan,), (torch.nan,))
    assert difference((nan, torch.nan), (nan, torch.nan), equal_nan=True) is None
    assert "yours is nan" in difference(nan, torch.tensor([1.0, 2.0]))


@patiently
@given(st.lists(st.floats(allow_nan=False, width=32, min_value=-1e6, max_value=1e6), min_size=1, max_size=9), st.data())
def test_a_tensor_equals_itself_and_nothing_that_was_changed_at_one_place(numbers, data):
    expected = torch.tensor(numbers)
    assert difference(expected.clone(), expected) is None
    place = data.draw(st.integers(0, len(numbers) - 1))
    for wrong in (torch.nan, torch.inf, numbers[place] + abs(numbers[place]) * 1e-3 + 1e-3):
        got = expected.clone()
        got[place] = wrong
        where = f"1 of {len(numbers)} entries differ; at [{place}], " if len(numbers) > 1 else ""
        assert difference(got, expected).startswith(f"{where}yours is ")


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (True, 1, "got a value of type bool, expected a value of type int"),
        (1, 1.0, "got a value of type int, expected a value of type float"),
        (2, 1, "got 2, expected 1"),
        ([1], (1,), "got a list of 1 (a value of type int), expected a tuple of 1 (a value of type int)"),
        ((1, 3), (1, 2), "result 2 of 2: got 3, expected 2"),
        (
            torch.ones(2),
            torch.ones(2, 1),
            "got a float32 tensor of shape (2,), expected a float32 tensor of shape (2, 1)",
        ),
        (torch.ones(2).int(), torch.ones(2), "got an int32 tensor of shape (2,), expected float32"),
        (torch.ones(2).to("meta"), torch.ones(2), "got a float32 tensor of shape (2,) on meta, expected a float32"),
        (torch.ones(2).to_sparse(), torch.ones(2), "got a float32 sparse_coo tensor of shape (2,), expected a float32"),
        (torch.ones(1, requires_grad=True), 3 * torch.ones(1), "yours is 1.0, expected 3.0"),
    ],
)
def test_what_differs_is_said_in_words(got, expected, words):
    assert difference(got, expected).startswith(words)


# --------------------------------------------------------------------------------------------- what the reader sees


def cards():
    answers = [KEEP.reference, ..., 7, nothing, lambda: 0, lambda *a: [object()], *(m.answer for m in KEEP.mistakes)]
    ours = (hint("padding.1", 1), hints("padding.1"), solution("padding.1"), progress())
    return [*(grade(KEEP, answer) for answer in answers), *ours]


def test_html_has_the_same_words_as_the_text_and_no_ids_scripts_or_addresses():
    for card, again in zip(cards(), cards(), strict=True):
        html = card._repr_html_()
        assert html == again._repr_html_()
        assert not re.search(r"\bid=|<script|<style|src=|0x[0-9a-f]", html)
        text = words(" ".join(ElementTree.fromstring(html).itertext()))
        assert text.replace(" ", "") == words(repr(card)).replace("`", "").replace(" ", "")


def test_words_between_asterisks_are_stressed_and_code_keeps_its_own():
    html = Card("Head", "It *may be* read: `a * b * c`, `*rest`, 2 * 3 * 4.")._repr_html_()
    assert "It <em>may be</em> read: <code>a * b * c</code>, <code>*rest</code>, 2 * 3 * 4." in html


def test_links_end_where_the_address_ends():
    card = Card("Head", "See https://github.com/a/b/issues/19. Or https://github.com/c/d/pull/7 and more.")
    links = [link.get("href") for link in ElementTree.fromstring(card._repr_html_()).iter("a")]
    assert links == ["https://github.com/a/b/issues/19", "https://github.com/c/d/pull/7"]


@settings(patiently, max_examples=30)
@given(st.text())
def test_the_words_of_an_error_are_text_and_not_html(text):
    def answer(numbers, real_mask):
        raise ValueError(f"<b onload=x> {text}")

    html = grade(KEEP, answer)._repr_html_()
    assert "<b" not in html
    assert "&lt;b" in html


# --------------------------------------------------------------------------------------------- check, hints, progress


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """A new reader: nothing done, no hint shown, and a progress file of their own."""
    file = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv("GROOT_TEACH_PROGRESS", str(file))
    monkeypatch.setattr(progress_file, "_done_in_this_session", set())
    monkeypatch.setattr(chapters, "_hints_shown", {})
    return file


FIRST, SECOND = chapters.chapter("padding").exercises[:2]


def states():
    return {row[0]: row[4] for row in progress().rows[1:]}


def test_hints_come_one_by_one_stay_at_the_last_and_can_be_asked_for_by_number():
    assert [hint("padding.1").headline[-6:] for _ in range(4)] == ["1 of 3", "2 of 3", "3 of 3", "3 of 3"]
    assert 'Next: `solution("padding.1")`.' in hint("padding.1").message
    assert hint("padding.2", step=3).headline.endswith("hint 3 of 3")
    assert 'Next: `hint("padding.2")`.' in hint("padding.2").message
    for step, got in ((0, "0"), (4, "4"), (True, "True"), (2.0, "2.0"), ("1", "'1'"), ([], "a list")):
        with pytest.raises(ValueError, match=re.escape(f"step: got {got}, expected a whole number from 1 to 3")):
            hint("padding.2", step)


@pytest.mark.parametrize("call", [lambda e: check(e, dots), hint, hints, solution])
def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones_or_the_new_name(call):
    for unknown, got in (("padding.9", "'padding.9'"), (1.2, "1.2"), ("", "''"), (dots, "a function")):
        with pytest.raises(ValueError, match=re.escape(f"got {got}, expected one of 'padding.1', 'padding.2'")):
            call(unknown)
    with pytest.raises(ValueError, match=r"got '3\.2', which is called 'loss\.2' now"):
        call("3.2")


def test_progress_is_kept_from_one_session_to_the_next_and_a_wrong_answer_takes_nothing_away(file, monkeypatch):
    check("padding.2", dots)
    check("padding.2", SECOND.mistakes[0].answer)
    assert progress().headline == "0 of 48 exercises done, about 275 minutes to go"
    assert not file.exists()
    check("padding.2", SECOND.reference)
    monkeypatch.setattr(progress_file, "_done_in_this_session", set())
    check("padding.1", FIRST.reference)
    check("padding.2", dots)
    monkeypatch.setattr(progress_file, "_done_in_this_session", set())
    assert (states()["padding.1"], states()["padding.2"], states()["padding.3"]) == ("done", "done", "not yet")
    assert states()["chapter 1"] == "2 of 5 done"
    assert progress().headline == f"2 of 48 exercises done, about {275 - FIRST.minutes - SECOND.minutes} minutes to go"
    assert json.loads(file.read_text()) == {"done": ["padding.1", "padding.2"]}
    assert progress().message == ""


def test_an_old_file_is_carried_over_and_what_is_not_ours_in_it_stays(file):
    file.parent.mkdir()
    file.write_text('{"done": ["3.2", "8.6", "42.1", "1.9", "loss.1"], "theirs": {"a": [1]}}')
    assert {id for id, state in states().items() if state == "done"} == {"loss.1", "loss.2", "audit.6"}
    assert json.loads(file.read_text()) == {
        "done": ["1.9", "42.1", "audit.6", "loss.1", "loss.2"],
        "theirs": {"a": [1]},
    }
    carried_over = file.read_bytes()
    check("loss.1", dots)
    progress()
    assert file.read_bytes() == carried_over


def test_four_processes_that_write_at_once_lose_no_id(file):
    """Each of them marks twelve exercises, one at a time; the file begins with old ids."""
    file.parent.mkdir()
    file.write_text('{"done": ["1.1", "42.1"]}')
    program = (  # the module alone: torch is not needed for this, and takes seconds to load
        "import runpy, sys\n"
        "remember = runpy.run_path(sys.argv[1])['remember']\n"
        "sys.stdin.readline()\n"
        "for exercise_id in sys.argv[2:]: remember(exercise_id, {'1.1': 'padding.1'})"
    )
    ids = [*OLD_IDS.values()]
    command = [sys.executable, "-c", program, progress_file.__file__]
    writers = [subprocess.Popen([*command, *ids[start::4]], stdin=subprocess.PIPE) for start in range(4)]
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0, 0]
    assert set(json.loads(file.read_text())["done"]) == {*ids, "42.1"}
    assert not list(file.parent.glob("*.draft"))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"done": 3}', b'{"done": [1]}', b"{}", b"\xff\xfe"], ids=repr)
def test_a_damaged_file_is_left_alone_and_told_of(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert check("padding.1", FIRST.reference).status == "right"
    assert states()["padding.1"] == "done"  # in this session
    assert f"`{file}` is damaged" in progress().message
    assert "Rename or delete it" in progress().message
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_written_does_not_stop_an_exercise(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file" / "progress.json", tmp_path):
        monkeypatch.setenv("GROOT_TEACH_PROGRESS", str(place))
        assert check("padding.1", FIRST.reference).status == "right"
        assert states()["padding.1"] == "done"
        assert f"Progress is not kept: `{place}` cannot be used" in progress().message


def test_a_save_that_fails_half_way_leaves_the_old_file_and_no_draft(file, monkeypatch):
    check("padding.1", FIRST.reference)
    before = file.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        assert check("padding.2", SECOND.reference).status == "right"
        assert "No space left on device" in progress().message
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*.draft"))
    assert progress().message == ""  # tried again, and kept
    assert json.loads(file.read_text()) == {"done": ["padding.1", "padding.2"]}


def test_without_the_variable_the_file_is_in_the_home_folder_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("GROOT_TEACH_PROGRESS", "~/elsewhere.json")
    assert progress_file.path() == tmp_path / "elsewhere.json"
    monkeypatch.delenv("GROOT_TEACH_PROGRESS")
    check("padding.1", FIRST.reference)
    assert json.loads((tmp_path / ".groot_teach" / "progress.json").read_text()) == {"done": ["padding.1"]}

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(progress_file.Path, "home", no_home)
    assert check("padding.1", FIRST.reference).status == "right"
    assert "Set `GROOT_TEACH_PROGRESS`" in progress().message
