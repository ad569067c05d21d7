"""A batch as a flat dict of entries, and back again."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from groot_teach.audit.batch import Nesting, copy_of


class Entries(dict):
    pass


@Mapping.register
@dataclass
class Record:
    """A mapping that is made from its entries by name, and not from a dict."""

    image: torch.Tensor
    size: int

    def keys(self):
        return ["image", "size"]

    def __getitem__(self, name):
        return getattr(self, name)

    def items(self):
        return [(name, self[name]) for name in self.keys()]


def ones():
    return torch.ones(2, 3)


def test_entries_are_named_by_their_path_and_come_back_in_their_own_nesting():
    batch = {"t": ones(), "seen": {"camera": Entries(left=ones(), task="stack")}, 7: {"x": 0.5}}
    nesting = Nesting(batch, ())
    assert [*nesting.flat] == ["t", "seen.camera.left", "seen.camera.task", "7.x"]
    assert nesting.flat["seen.camera.left"] is batch["seen"]["camera"]["left"]
    root, handed = nesting.nested(nesting.flat)
    assert type(root) is dict
    assert type(root["seen"]) is dict
    assert type(root["seen"]["camera"]) is Entries
    assert root["seen"]["camera"]["task"] == "stack"
    assert root[7] == {"x": 0.5}
    assert [*handed] == ["t", "seen.camera.left"]
    assert handed["seen.camera.left"] is root["seen"]["camera"]["left"]
    assert torch.equal(root["t"], batch["t"])


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_taken_apart_only_if_one_of_its_items_is_named(kind):
    batch = {"views": kind([ones(), {"depth": ones()}]), "tasks": kind(["a", "b"])}
    assert [*Nesting(batch, {"views", "task.0", "tasks_2"}).flat] == ["views", "tasks"]
    nesting = Nesting(batch, {"views.1.depth", "another"})
    assert [*nesting.flat] == ["views.0", "views.1.depth", "tasks"]
    root, _ = nesting.nested(dict(reversed(nesting.flat.items())))
    assert type(root["views"]) is kind
    assert root["views"][0].shape == (2, 3)
    assert [*root["views"][1]] == ["depth"]


def test_a_list_inside_is_named_by_its_whole_path():
    assert [*Nesting({"seen": {"views": [ones()]}}, {"seen.views.0"}).flat] == ["seen.views.0"]


def test_more_than_ten_items_of_a_list_keep_their_order():
    batch = {"views": [torch.full((1,), place) for place in range(12)]}
    nesting = Nesting(batch, {"views.0"})
    root, _ = nesting.nested(dict(sorted(nesting.flat.items())))
    assert [int(view) for view in root["views"]] == [*range(12)]


def test_a_record_that_takes_its_entries_by_name_is_made_again():
    nesting = Nesting({"seen": Record(ones(), 3)}, ())
    assert [*nesting.flat] == ["seen.image", "seen.size"]
    root, _ = nesting.nested(nesting.flat)
    assert isinstance(root["seen"], Record)
    assert root["seen"].size == 3


def test_entries_that_the_batch_has_not_stand_at_the_top_and_what_is_left_out_stays_out():
    nesting = Nesting({"t": ones(), "seen": Entries(camera=Entries(left=ones()))}, ())
    root, handed = nesting.nested({"t": ones(), "more.of it": ones()})
    assert [*root] == [*handed] == ["t", "more.of it"]


def test_two_entries_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"got two entries that are called 'a\.b', expected another name for one"):
        Nesting({"a.b": 1, "a": {"b": 2}}, ())


def test_nothing_that_is_written_into_a_copy_is_seen_in_the_batch():
    held = {"tensor": ones(), "array": np.ones(2), "list": [ones(), (np.ones(2),)]}
    root, _ = (nesting := Nesting(held, ())).nested(nesting.flat)
    root["tensor"].zero_()
    root["array"][:] = 0
    root["list"][0].zero_()
    root["list"][1][0][:] = 0
    assert all(one.all() for one in (held["tensor"], held["array"], held["list"][0], held["list"][1][0]))


def test_a_copy_has_the_kind_of_what_is_copied_and_a_tensor_keeps_its_graph():
    leaf = ones().requires_grad_()
    assert copy_of(leaf).requires_grad
    assert type(copy_of((1, 2))) is tuple
    assert type(copy_of([1, 2])) is list
    assert copy_of(np.float64(0.5)) == 0.5
    assert copy_of(np.add) is np.add
    shared = {"not": "copied"}
    assert copy_of(shared) is shared
