"""The prose pages: names exist, terms are in the glossary, citations lead somewhere, what is said of torch is so."""

import doctest
import importlib
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from groot_teach import masks, padding
from groot_teach.embodiments import SO101

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
TEMPLATE = BOOK / "_template" / "chapter_template.ipynb"
PROSE = {path.name: path.read_text() for path in sorted([ROOT / "index.md", *BOOK.glob("*.md")])}
NOTEBOOKS = [*sorted((ROOT / "notebooks").glob("*.ipynb")), TEMPLATE]
LISTS = ("paper", "code", "thread", "note")


def notebook_prose(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def without_code(text: str) -> str:
    text = re.sub(r"^(`{3,})(?!\{).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!\})`[^`\n]+`", "", text)


LEAD_INS = {"say", "predict", "run", "read"}


def bold_terms(text: str) -> list[str]:
    """The terms that a page defines: what is bold, except lead-ins, whole table cells and the tasks of exercises."""
    text = re.sub(r"^\*\d+ minutes, .*$", "", without_code(text), flags=re.MULTILINE)
    text = re.sub(r"(?<=\| )\*\*[^*|]+\*\*(?= \|)", "", text)
    found = re.findall(r"\*\*([^*\n]+)\*\*", text)
    return [term for term in found if term[-1] not in ".:?!" and term.casefold() not in LEAD_INS]


@cache
def glossary_terms() -> tuple[str, ...]:
    block = re.search(r"^```\{glossary\}\n(.*?)^```$", PROSE["glossary.md"], flags=re.MULTILINE | re.DOTALL)[1]
    return tuple(line for line in block.splitlines() if line and not line.startswith(" "))


def bib_entries() -> dict[str, str]:
    source = (BOOK / "references.bib").read_text()
    return dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", source, flags=re.MULTILINE | re.DOTALL))


def table_rows(page: str, heading: str) -> list[list[str]]:
    section = PROSE[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


ALL_PROSE = [pytest.param(text, id=name) for name, text in PROSE.items()] + [
    pytest.param(notebook_prose(path), id=path.name) for path in NOTEBOOKS
]


# ---------------------------------------------------------------------------------------------- names and links


@pytest.mark.parametrize("text", ALL_PROSE)
def test_every_name_of_the_library_exists(text):
    for module, name in re.findall(r"`(?:groot_teach\.)?(embodiments|masks|padding|recordings)\.([A-Za-z_]+)", text):
        assert hasattr(importlib.import_module(f"groot_teach.{module}"), name), f"{module}.{name}"


def test_notation_names_the_attributes_of_our_records():
    named = set(re.findall(r"^\| `(\w+)` \|", PROSE["notation.md"], flags=re.MULTILINE))
    for record in (padding.ActionBatch, padding.VLBatch):
        assert set(record.__annotations__) <= named, record.__name__
    assert {"action_is_pad", "action_mask", "attention_mask", "embodiment_id"} <= named


def test_notation_spells_every_axis_that_a_public_signature_uses():
    named = set(re.findall(r"^\| `(\w+)` \|", PROSE["notation.md"], flags=re.MULTILINE))
    source = (ROOT / "groot_teach" / "padding.py").read_text()
    annotated = {axis for axes in re.findall(r'\[Tensor, "([^"]+)"\]', source) for axis in axes.split()}
    assert annotated - named - {"*batch", "step", "tokens_per_camera", "words"} == set()


def test_each_leak_has_its_own_entry_in_the_glossary():
    assert {leak.name for leak in masks.LEAKS} <= set(glossary_terms())


# ------------------------------------------------------------------------------------------------- the glossary


def test_the_glossary_is_sorted_and_has_nothing_twice():
    terms = glossary_terms()
    assert list(terms) == sorted(terms, key=str.casefold)
    assert len({term.casefold() for term in terms}) == len(terms) > 40


@pytest.mark.parametrize("text", ALL_PROSE)
def test_every_bold_term_stands_in_the_glossary(text):
    known = {term.casefold() for term in glossary_terms()}
    for term in bold_terms(text):
        singular = term.casefold().removesuffix("s")
        assert known & {term.casefold(), singular}, f"{term!r}: define it in the glossary, or stress in *italics*"


@pytest.mark.parametrize("text", ALL_PROSE)
def test_no_page_defines_a_term_twice(text):
    terms = [term.casefold() for term in bold_terms(text)]
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize("text", ALL_PROSE)
def test_every_term_that_a_page_points_to_is_there(text):
    known = {term.casefold() for term in glossary_terms()}
    for pointer in re.findall(r"\{term\}`([^`]+)`", text):
        target = pointer.split("<")[-1].rstrip(">")
        assert target.casefold() in known, target


def test_the_test_for_bold_terms_can_fail():
    code = "`**kwargs`\n\n```python\n2 ** 3 ** 2\n```\n\n"
    page = f"A **leak** and {code}**Predict** | **open** | How many? **Mind:** one **token**."
    assert bold_terms(page) == ["leak", "token"]


# -------------------------------------------------------------------------------------------------- the sources


def test_every_citation_leads_to_an_entry():
    everything = "\n".join(page.values[0] for page in ALL_PROSE)
    keys = {key for cited in re.findall(r"\{cite[:\w]*\}`([^`]+)`", everything) for key in cited.split(",")}
    assert keys <= set(bib_entries())
    assert len(keys) > 5


def test_every_entry_stands_in_exactly_one_list_of_the_sources_page():
    for key, entry in bib_entries().items():
        kinds = re.search(r"keywords = \{([^}]*)\}", entry)
        assert kinds, key
        assert kinds[1] in LISTS, key
    assert re.findall(r':filter: keywords % "(\w+)"', PROSE["sources.md"]) == ["note", "paper", "code", "thread"]


def test_every_entry_says_who_what_when_and_where():
    for key, entry in bib_entries().items():
        for needed in ("title", "author", "year", "url"):
            assert re.search(rf"^  {needed} = \{{.+\}},?$", entry, re.MULTILINE), f"{key}: {needed}"


def test_code_and_note_are_pinned_to_the_commit_or_the_release_they_name():
    for key, entry in bib_entries().items():
        if re.search(r"keywords = \{(code|note)\}", entry):
            if release := re.search(r"note = \{release ([0-9.]+)", entry):
                assert f"/{release[1]}/}}" in entry, key
                continue
            commit = re.search(r"note = \{commit ([0-9a-f]{8})", entry)[1]
            assert re.search(rf"/(tree|blob)/{commit}[0-9a-f]{{32}}", entry), key


def test_a_thread_is_cited_by_the_number_in_its_address():
    for key, entry in bib_entries().items():
        if "keywords = {thread}" in entry:
            number = re.search(r"/(?:issues|pull)/(\d+)\}", entry)[1]
            assert key.endswith(f"_{number}"), key
            assert re.search(rf"author = \{{\{{.* (issue|pull request) {number}\}}\}}", entry), key


# ---------------------------------------------------------------------------------------- code that stands in pages


@pytest.mark.parametrize("page", [name for name, text in PROSE.items() if "\n>>> " in text])
def test_every_prompt_in_a_page_gives_what_the_page_shows(page):
    blocks = re.findall(r"^```python\n(>>> .*?)^```$", PROSE[page], flags=re.MULTILINE | re.DOTALL)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page, page, 0)
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert test.examples
    assert not said, "".join(said)


def test_the_batch_contract_gives_the_dtype_and_the_shape_of_every_key():
    size = {"batch": 2, "action_horizon": 5, "padded_dim": 7, "key_len": 13, "width": 3}
    chunk = padding.pad_steps_with_copies(torch.zeros(4, SO101.action_dim), size["action_horizon"])
    actions = padding.collate_chunks([chunk] * 2, size["padded_dim"])
    sample = padding.join_tokens([torch.ones(4, 3), None], torch.ones(3, 3))
    tokens = padding.pad_tokens_left([sample] * 2, size["key_len"])
    made = (
        vars(actions)
        | vars(tokens)
        | {
            "action_mask": padding.action_mask_dims_and_steps(actions.dim_mask, actions.step_mask),
            "embodiment_id": torch.tensor([SO101.embodiment_id] * 2),
        }
    )
    rows = table_rows("batch_contract.md", "What is in a batch")
    assert {row[0].strip("`") for row in rows} == set(made)
    for key, dtype, shape, *_ in rows:
        tensor = made[key.strip("`")]
        assert str(tensor.dtype).removeprefix("torch.").replace("float32", "float") == dtype, key
        assert tensor.shape == tuple(size[axis] for axis in shape.split(", ")), key


def test_the_two_directions_of_flow_time_describe_one_line():
    noise, actions = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0])
    t = torch.tensor(0.25)
    ours = (1 - t) * noise + t * actions
    time = 1 - t
    openpi = time * noise + (1 - time) * actions
    torch.testing.assert_close(ours, openpi)
    velocity, dt = actions - noise, 0.125
    torch.testing.assert_close(ours + dt * velocity, openpi + (-dt) * (noise - actions))


# ------------------------------------------------------------------------------------- what the pages say of torch

REAL = torch.tensor([True, True, True, False])
"""Four keys, the last one padding. Equal logits and the identity as values show how much of each key is read."""

ONLY_PADDING = torch.tensor([0.0, 0.0, 0.0, 1.0])
ONLY_REAL = torch.tensor([1.0, 1.0, 1.0, 0.0]) / 3
ADDED = torch.tensor([torch.e, torch.e, torch.e, 1.0]) / (3 * torch.e + 1)


def attend(attn_mask, values=None):
    values = torch.eye(4) if values is None else values
    return scaled_dot_product_attention(torch.zeros(1, 2), torch.zeros(4, 2), values, attn_mask=attn_mask)[0]


def attend_mha(need_weights=True, **masks_):
    layer = nn.MultiheadAttention(4, 1, bias=False, batch_first=True)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([torch.zeros(8, 4), torch.eye(4)]))
        layer.out_proj.weight.copy_(torch.eye(4))
        keys = torch.eye(4)[None]
        return layer(torch.zeros(1, 1, 4), keys, keys, need_weights=need_weights, **masks_)[0][0, 0]


def test_true_takes_part_in_scaled_dot_product_attention():
    torch.testing.assert_close(attend(REAL[None]), ONLY_REAL)


def test_a_float_mask_is_added_in_scaled_dot_product_attention():
    torch.testing.assert_close(attend(torch.zeros(1, 4).masked_fill(~REAL, -torch.inf)), ONLY_REAL)
    torch.testing.assert_close(attend(REAL[None].float()), ADDED)


@pytest.mark.parametrize("need_weights", [True, False])
def test_true_is_ignored_in_multihead_attention(need_weights):
    torch.testing.assert_close(attend_mha(need_weights, key_padding_mask=~REAL[None]), ONLY_REAL)
    torch.testing.assert_close(attend_mha(need_weights, attn_mask=~REAL[None]), ONLY_REAL)


@pytest.mark.parametrize("need_weights", [True, False])
def test_our_mask_in_multihead_attention_reads_only_the_padding(need_weights):
    torch.testing.assert_close(attend_mha(need_weights, key_padding_mask=REAL[None]), ONLY_PADDING)
    torch.testing.assert_close(attend_mha(need_weights, attn_mask=REAL[None]), ONLY_PADDING)


def test_a_sample_without_padding_makes_that_mistake_half_loud():
    everything = torch.ones(1, 4, dtype=torch.bool)
    assert attend_mha(True, key_padding_mask=everything).isnan().all()
    assert (attend_mha(False, key_padding_mask=everything) == 0).all()


def test_a_key_padding_mask_in_scaled_dot_product_attention_reads_only_the_padding():
    torch.testing.assert_close(attend(~REAL[None]), ONLY_PADDING)


def test_a_float_mask_of_ones_and_zeros_is_added_in_multihead_attention():
    torch.testing.assert_close(attend_mha(key_padding_mask=REAL[None].float()), ADDED)


def test_an_int64_mask_is_refused_by_both():
    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or float"):
        attend(REAL[None].long())
    with pytest.raises(AssertionError, match="only bool and floating types of key_padding_mask"):
        attend_mha(key_padding_mask=REAL[None].long())


def test_an_additive_mask_turns_round_when_it_is_made_bool():
    additive = torch.zeros(4).masked_fill(~REAL, -torch.inf)
    assert torch.equal(additive.bool(), ~REAL)
    torch.testing.assert_close(attend(additive.bool()[None]), ONLY_PADDING)


def test_inverting_an_int64_mask_hides_nothing():
    assert (~torch.tensor([1, 0])).tolist() == [-2, -1]
    assert (~REAL.long()).bool().all()


def test_indexing_with_an_int64_mask_picks_entries_0_and_1():
    error = torch.tensor([10.0, 20.0, 30.0, 40.0])
    assert error[REAL.long()].tolist() == [20.0, 20.0, 20.0, 10.0]
    assert error[REAL].tolist() == [10.0, 20.0, 30.0]


def test_action_is_pad_as_a_step_mask_trains_the_filled_in_steps_only():
    squared_error = torch.tensor([[1.0, 2.0, 3.0, 100.0]])
    action_is_pad = torch.tensor([[False, False, False, True]])
    assert (squared_error * action_is_pad).sum() / action_is_pad.sum() == 100
    right = masks.from_action_is_pad(action_is_pad)
    assert (squared_error * right).sum() / right.sum() == 2
    none_padded = torch.zeros(1, 4, dtype=torch.bool)
    assert (squared_error * none_padded).sum() / (none_padded.sum() + 1e-6) == 0
    assert ((squared_error * none_padded).sum() / none_padded.sum()).isnan()


def test_a_bf16_mask_counts_wrong():
    assert torch.ones(100003, dtype=torch.bfloat16).sum() == 99840
    assert torch.ones(100003, dtype=torch.bool).sum() == 100003


def test_openpis_mask_ar_opens_blocks_and_is_no_padding_mask():
    mask_ar = torch.tensor([False] * 3 + [True] + [True, False])  # prefix, state, two actions
    block = mask_ar.cumsum(0)
    may_read = block[None, :] <= block[:, None]
    assert may_read.int().tolist() == [[1, 1, 1, 0, 0, 0]] * 3 + [[1, 1, 1, 1, 0, 0]] + [[1, 1, 1, 1, 1, 1]] * 2
    assert mask_ar.sum() == 2  # read as a padding mask it keeps two tokens out of six


def test_what_comes_out_of_a_row_with_nothing_to_read():
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    mean = torch.full((4,), 0.25)
    assert (attend(nothing) == 0).all()
    assert (attend(torch.full((1, 4), -torch.inf)) == 0).all()
    torch.testing.assert_close(attend(torch.full((1, 4), torch.finfo(torch.float32).min)), mean)
    assert torch.full((4,), -torch.inf).softmax(0).isnan().all()
    torch.testing.assert_close(torch.full((4,), -1e9).softmax(0), mean)


def test_a_hidden_nan_still_gets_through():
    assert (torch.tensor([1.0, torch.nan]) * torch.tensor([True, False])).isnan().tolist() == [False, True]
    values = torch.eye(4)
    values[3, 0] = torch.nan
    assert attend(REAL[None], values).isnan().tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("convert", "foreign"),
    [
        (masks.from_action_is_pad, ~REAL),
        (lambda mask: masks.from_key_padding_mask(mask[None])[0], ~REAL),
        (masks.from_float_mask, REAL.float()),
        (masks.from_int_mask, REAL.long()),
        (masks.from_additive_mask, torch.zeros(4).masked_fill(~REAL, -torch.inf)),
    ],
)
def test_the_table_of_conventions_leads_to_our_mask(convert, foreign):
    assert torch.equal(convert(foreign), REAL)


@pytest.mark.parametrize(
    ("convert", "value"),
    [(masks.from_int_mask, 2), (masks.from_float_mask, 0.5), (masks.from_additive_mask, 1.0)],
)
def test_a_conversion_refuses_what_its_convention_does_not_know(convert, value):
    with pytest.raises(ValueError, match="expected"):
        convert(torch.tensor([0, value]))


# ------------------------------------------------------------------------------------------------- the template


def test_the_template_gives_the_outputs_that_it_stores(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    stored = nbformat.read(TEMPLATE, as_version=4)
    nbformat.validate(stored)
    again = nbformat.read(TEMPLATE, as_version=4)
    NotebookClient(again, timeout=120, kernel_name="python3").execute()
    counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert [cell.get("outputs") for cell in stored.cells] == [cell.get("outputs") for cell in again.cells]
    assert sum(bool(cell.get("outputs")) for cell in stored.cells) == 2


def test_the_template_shows_the_beat():
    text = notebook_prose(TEMPLATE)
    assert [lead for lead in re.findall(r"\*\*(\w+)\.\*\*", text)] == ["Say", "Predict", "Read"]
