"""Code in a sentence breaks where a reader would break it."""

import pytest
from docutils import nodes
from inline_code import break_well, parts_of


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("flow_head.py", ["flow_", "head.py"]),
        ("a/b_c.md", ["a/", "b_", "c.md"]),
        ("__init__", ["__", "init__"]),
        ("actions", ["actions"]),
    ],
)
def test_a_name_may_break_behind_slashes_and_underscores_and_not_before_its_ending(code, parts):
    assert parts_of(code) == parts


def broken(code: str, around=nodes.paragraph) -> nodes.literal:
    literal = nodes.literal("", code)
    break_well(None, around("", "", literal))
    return literal


def test_short_code_stays_on_one_line():
    assert broken("(1 - t) * noise")["classes"] == ["unbroken"]
    assert broken("(1 - t) * noises + x")["classes"] == []


def test_a_long_name_has_places_to_break_and_reads_the_same():
    literal = broken("flow_matching_action_head.py")
    assert [type(child) for child in literal] == [nodes.Text, *([nodes.raw, nodes.Text] * 3)]
    assert "".join(child for child in literal if isinstance(child, nodes.Text)) == "flow_matching_action_head.py"
    assert {child.astext() for child in literal.findall(nodes.raw)} == {"<wbr>"}


def test_code_with_spaces_and_code_in_a_title_are_left_alone():
    for literal in (broken("backbone_attention_mask & real"), broken("backbone_attention_mask", nodes.title)):
        assert [type(child) for child in literal] == [nodes.Text]
