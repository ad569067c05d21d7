"""The auditor's own trial: each mutant is found at its place, no right head is accused, the page says what is so."""

import json
from inspect import getclosurevars
from pathlib import Path

import auditor_trial
import pytest
from auditor_trial import CHECKS, METHODS, RESULTS, failures, load
from small_book import build_small_book

from evidence.__main__ import main
from evidence.zoo import BATCHES, DESIGNS, MUTANTS, RIGHT_HEADS, Policy, audit, picture, rivals, trial
from evidence.zoo.policy import described
from groot_teach import bugs
from groot_teach.audit import LEAK_OF_STAGE
from groot_teach.bugs.policy import action_mask

ROOT = Path(__file__).parents[2]
STORED = load(ROOT)
QUICK = {name: check for name, check in rivals.OURS.items() if name != "loss falls"} | rivals.foreign()
KINDS = ("mutants", "heads", "designs")
TENTH = {*[*MUTANTS, *RIGHT_HEADS, *DESIGNS][::10]}


def checks_on(name):
    """The checks of others take as long as all audits, and are not ours to break: of every tenth they are run again."""
    return QUICK if name in TENTH else {}


def fresh_rows_are_stored(row: dict, stored: dict) -> bool:
    """Equal, apart from the checks that were not run again."""
    return row | {"rivals": stored["rivals"] | row["rivals"]} == stored


# --------------------------------------------------------------------------------------------------------- the trial


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_at_its_place_or_missed_with_a_reason(name):
    row, stored = trial.record_of_mutant(MUTANTS[name], checks_on(name)), STORED["mutants"][name]
    assert bool(row["probes"]) != bool(row["missed"])
    assert fresh_rows_are_stored(row, stored), (row, stored)


@pytest.mark.parametrize("name", RIGHT_HEADS)
def test_a_right_head_is_not_accused_or_it_is_known_why(name):
    row, stored = trial.record_of_head(RIGHT_HEADS[name], checks_on(name)), STORED["heads"][name]
    assert bool(row["alarms"]) == bool(row["alarm"])
    assert not row["could not look"]
    assert fresh_rows_are_stored(row, stored), (row, stored)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_is_clean_if_it_is_right_and_found_at_its_place_if_it_is_wrong(name):
    design = DESIGNS[name]
    row, stored = trial.record_of_design(design, checks_on(name)), STORED["designs"][name]
    if design.found:
        assert bool(row["probes"]) != bool(row["missed"])
    else:
        assert not row["alarms"]
        assert bool(row["could not look"]) == design.unseen
        assert not row["unused"]
    assert fresh_rows_are_stored(row, stored), (row, stored)


@pytest.mark.weekly
@pytest.mark.parametrize("kind", KINDS)
def test_the_checks_of_others_say_of_each_policy_what_is_stored(kind):
    policies = {"mutants": MUTANTS, "heads": RIGHT_HEADS, "designs": DESIGNS}[kind]
    for name, policy in policies.items():
        said = trial.alarms_of(policy.make, QUICK)
        assert said == {check: STORED[kind][name]["rivals"][check] for check in said}, name


@pytest.mark.parametrize("name", [*MUTANTS][::10])
def test_watching_the_loss_fall_says_what_is_stored(name):
    """It takes longer than all the others together, so every tenth is trained again."""
    mutant = MUTANTS[name]
    stored = STORED["mutants"][name]["rivals"]["loss falls"]
    assert rivals.loss_falls(mutant.make) is stored


@pytest.mark.parametrize("name", ["dropout", "attention dropout"])
def test_where_the_audit_cannot_look_it_says_so_and_is_not_clean(name):
    report = RIGHT_HEADS[name].audit(told=False)
    assert not report.is_clean
    assert not report.findings
    assert {look.probe for look in report.unseen} == {"compact"}
    assert all(look.why for look in report.unseen)


# ----------------------------------------------------------------------------------------------------------- the zoo


def test_the_file_has_the_zoos_animals_and_no_others():
    assert [*STORED["mutants"]] == [*MUTANTS]
    assert [*STORED["heads"]] == [*RIGHT_HEADS]
    assert [*STORED["designs"]] == [*DESIGNS]


def test_every_leak_of_the_book_has_mutants_and_so_have_the_other_kinds():
    kinds = [mutant.kind for mutant in MUTANTS.values()]
    assert {*kinds} == {*LEAK_OF_STAGE.values(), "lost", "not finite", "other samples"}
    assert all(kinds.count(kind) >= 4 for kind in kinds)


@pytest.mark.parametrize("part", ["input_mask", "self_mask", "mixing_mask", "text_mask", "loss_mask", "sampler_mask"])
def test_every_mask_lets_padding_in_and_shuts_real_entries_out(part):
    polarities = {mutant.polarity for mutant in MUTANTS.values() if mutant.part == part}
    assert polarities == {"lets padding in", "shuts real out", "both"}


@pytest.mark.parametrize("exhibit", bugs.EXHIBITS, ids=lambda exhibit: exhibit.title)
def test_every_bug_of_the_museum_stands_trial_and_is_written_in_the_catalogue_alone(exhibit):
    """The slice down to the toy's width removes nothing in the toy alone; here its twin stands for it."""
    twin = {"removes_nothing": bugs.steps_masked_dims_not}
    tried = {mutant.bug for mutant in MUTANTS.values() if mutant.bug}
    assert {twin.get(bug.wrong.__name__, bug) for bug in exhibit.bugs} <= tried


def test_a_mutant_with_a_bug_of_the_catalogue_runs_the_function_of_its_record():
    known = [mutant for mutant in MUTANTS.values() if mutant.bug]
    assert len(known) == 24
    for mutant in known:
        used = getclosurevars(mutant.code).nonlocals["bug"]
        assert used is mutant.bug is bugs.CATALOGUE[used.wrong.__name__]


@pytest.mark.parametrize("name", BATCHES)
def test_the_policy_before_it_is_broken_is_clean_on_each_batch(name):
    report = audit(Policy(BATCHES[name]), BATCHES[name])
    report.assert_clean()
    assert not report.unseen


def test_the_batch_is_ragged_in_everything():
    b = BATCHES["ragged"]
    for real in (b["step_mask"], b["dim_mask"], b["token_mask"]):
        assert len({*real.sum(dim=1).tolist()}) == 4
    assert action_mask(b).sum() == 287  # more than 256, and odd: bfloat16 has no such number


# -------------------------------------------------------------------------------------------------------- the others


def test_every_check_of_others_has_a_column_in_every_row():
    assert [*CHECKS] == [*rivals.OURS, *trial.foreign_checks()]
    for kind in KINDS:
        assert all([*row["rivals"]] == [*CHECKS] for row in STORED[kind].values())


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_of_others_can_raise_an_alarm_and_can_be_silent(check):
    alarms = {row["rivals"][check] for row in STORED["mutants"].values()}
    assert alarms >= {True, False}


def test_shapes_see_a_number_that_is_not_finite():
    policy = Policy(BATCHES["ragged"])
    policy.decoder.bias.data[0] = float("nan")
    assert rivals.shapes(lambda: described(policy, BATCHES["ragged"]))


def test_watching_the_loss_sees_one_that_does_not_fall():
    class Still(Policy):
        def loss(self, error, b):
            return super().loss(error, b) * 0 + 1

    assert rivals.loss_falls(lambda: described(Still(BATCHES["ragged"]), BATCHES["ragged"]))


def test_a_check_that_ends_with_an_error_raises_an_alarm():
    def fails(b):
        raise ValueError("no")

    def make():
        return described(Policy(BATCHES["ragged"]), BATCHES["ragged"]) | {"run": fails}

    assert all(check(make) for check in (rivals.shapes, rivals.loss_falls, rivals.flip, rivals.equivalence))


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in ("shapes", "loss falls")])
def test_a_check_that_has_nothing_to_ask_says_so(check):
    """Two arms are padded entry by entry; and a loss that is only a number cannot be asked about another mask."""
    name = "hits its target" if check == "flip" else "two arms of unequal chunks"
    assert STORED["designs"][name]["rivals"][check] is None


def test_the_columns_of_a_package_that_is_not_there_are_left_as_they_are(tmp_path, monkeypatch, capsys):
    first = next(iter(MUTANTS))
    assert rivals.pytest_torch(tmp_path) is None
    monkeypatch.setattr(trial, "MUTANTS", {first: MUTANTS[first]})
    monkeypatch.setattr(trial, "RIGHT_HEADS", {})
    monkeypatch.setattr(trial, "DESIGNS", {})
    monkeypatch.setattr(trial, "OURS", {})
    monkeypatch.setattr(rivals, "pangolinn", lambda: None)
    file = tmp_path / "zoo.json"
    kept = dict.fromkeys(trial.foreign_checks(), True)
    file.write_text(json.dumps({"mutants": {first: {"rivals": kept}}}))
    assert main(["zoo", "--out", str(file), "--pytest-torch", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert all(f"{package} is not there: its columns stay as they are stored" in said for package in rivals.FOREIGN)
    assert json.loads(file.read_text())["mutants"][first]["rivals"] == kept


# ---------------------------------------------------------------------------------------------------------- the page


@pytest.fixture
def small_book(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / RESULTS).write_text((ROOT / RESULTS).read_text())
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "auditor_trial"]\nexclude_patterns = ["out"]\n')

    def build(part):
        (tmp_path / "index.md").write_text(f"# Trial\n\n```{{auditor-trial}} {part}\n```\n")
        app, app.said = build_small_book(tmp_path)
        app.doctree = app.env.get_doctree("index")
        return app

    return build


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_a_row_for_each_animal(small_book, kind):
    rows = [*small_book(kind).doctree.findall(auditor_trial.table_row)]
    assert [row[0].astext().split("\n\n")[0] for row in rows] == [*STORED[kind]]
    assert all(cell.astext() for row in rows for cell in row)


def test_a_mutant_that_is_missed_is_shown_as_missed(small_book):
    rows = {row["ids"][0]: row for row in small_book("mutants").doctree.findall(auditor_trial.table_row)}
    for name, mutant in MUTANTS.items():
        said = rows[f"mutants-{name.replace(' ', '-')}"][3].astext()
        assert said.startswith("missed: ") == bool(mutant.missed)


def test_the_methods_of_the_page_are_those_that_are_counted(small_book):
    assert {*STORED["methods"]} == {*METHODS} == {*picture.NAMES}
    rows = [*small_book("methods").doctree.findall(auditor_trial.table_row)]
    assert [row[0].astext() for row in rows] == [*METHODS.values()]
    of = STORED["methods"]["audit"]
    assert rows[0][1].astext() == f"{of['found']} of {of['wrong']}"


def test_each_method_is_counted_where_it_could_be_asked():
    silent = dict.fromkeys(CHECKS, False)
    zoo = {
        "mutants": {
            "a": {"right": False, "probes": ["perturb"], "rivals": silent},
            "b": {"right": False, "probes": [], "rivals": silent | {"flip": True, "pangolinn": None}},
        },
        "designs": {
            "c": {"right": True, "alarms": ["leak"], "probes": ["compact"], "could not look": [], "rivals": silent},
            "d": {"right": True, "alarms": [], "probes": [], "could not look": ["x"], "rivals": {"flip": True}},
        },
    }
    methods = trial.count(zoo)
    assert methods["audit"] == {"found": 1, "wrong": 2, "accused": 1, "right": 2, "could not look": 1}
    assert methods["perturb"] == {"found": 1, "wrong": 2, "accused": 0, "right": 2}
    assert methods["compact"] == {"found": 0, "wrong": 2, "accused": 1, "right": 2}
    assert methods["flip"] == methods["others together"] == {"found": 1, "wrong": 2, "accused": 1, "right": 2}
    assert methods["pangolinn"] == {"found": 0, "wrong": 1, "accused": 0, "right": 1}


def test_the_stored_counts_are_those_of_the_rows():
    assert trial.count({kind: STORED[kind] for kind in KINDS}) == STORED["methods"]
    assert STORED["packages"] == rivals.FOREIGN


def test_every_failure_of_the_audit_is_on_the_page_with_its_reason(small_book):
    said = small_book("failures").doctree.astext()
    missed = [one for one in [*MUTANTS.values(), *DESIGNS.values()] if one.missed]
    unseen = [one for one in DESIGNS.values() if one.unseen]
    assert missed
    assert unseen
    assert all(f"Missed: {one.name}. {one.what}; {one.missed}." in said for one in missed)
    assert all(f"Right, and not called clean: {one.name}. {one.what}; " in said for one in unseen)
    assert len(failures(STORED)) == len(missed) + len(unseen) + 1
    assert "There is no false alarm." in said


def test_the_picture_on_the_page_is_drawn_from_what_is_stored():
    assert (ROOT / "book/figures/trial.svg").read_text(encoding="utf-8") == picture.trial_svg(ROOT / RESULTS)


def test_a_part_that_is_not_there_is_refused(small_book):
    assert "expected one of failures, methods, mutants, heads, designs, got 'all'" in small_book("all").said
