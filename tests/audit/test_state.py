"""What a policy keeps from call to call is found wherever its functions refer to it, and put back."""

import random
import sys
from collections import deque
from functools import partial
from itertools import islice
from types import MethodType

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from groot_teach.audit import Answer, Padding, audit_masks, state
from groot_teach.audit.policy import Policy
from groot_teach.audit.state import State, foreign_draws_kept

GLOBAL = nn.BatchNorm1d(2)
norm = GLOBAL


class Plain:
    """An object that is no module and holds one."""

    def __init__(self, module):
        self.module = module

    def run(self, b):
        return b


def by_closure(module):
    return lambda b: module(b)


def by_a_function_inside(module):
    def run(b):
        def inner():
            return module(b)

        return inner()

    return run


def by_default(module):
    def run(b, used=module):
        return used(b)

    return run


def by_attribute(module):
    def run(b):
        return b

    run.module = module
    return run


WAYS = {
    "itself": lambda module: module,
    "closure": by_closure,
    "closure of a closure": lambda module: by_closure(by_closure(module)),
    "a function inside": by_a_function_inside,
    "default": by_default,
    "attribute of a function": by_attribute,
    "method": lambda module: Plain(module).run,
    "method of a function": lambda module: MethodType(lambda self, b: module(b), 3),
    "method of the module": lambda module: module.forward,
    "object": Plain,
    "partial, by place": lambda module: partial(Plain.run, module),
    "partial, by name": lambda module: partial(Plain.run, b=module),
    "partial of its own": lambda module: partial(by_closure(module)),
    "dict": lambda module: {"a": module},
    "list": lambda module: [module],
    "set": lambda module: {module},
    "frozen set": lambda module: frozenset([module]),
    "tuple in a list": lambda module: [(1, module)],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_module_is_found_however_a_policy_refers_to_it(way):
    module = nn.BatchNorm1d(2)
    assert State(WAYS[way](module)).modules == [module]


def test_globals_are_found_if_a_function_uses_them_and_also_in_a_function_inside_it():
    assert State(lambda b: norm(b)).modules == [GLOBAL]
    assert State(lambda b: [lambda: norm(b)]).modules == [GLOBAL]
    assert State(lambda b: b).modules == []


def test_a_name_without_a_value_yet_and_things_without_attributes_do_no_harm():
    def make():
        def run(b):
            return later

        if not run:
            later = 1
        return run

    assert State(make(), 3, "text", None, object(), torch.ones(1), nn).modules == []


def test_what_refers_to_itself_is_looked_through_once():
    module = nn.BatchNorm1d(2)
    circle = [module, module]
    circle.append(circle)
    assert State(circle).modules == [module]


def test_not_more_than_so_many_objects_are_looked_through(monkeypatch):
    module = nn.BatchNorm1d(2)
    assert State([[module], *([] for _ in range(30))]).modules == [module]
    monkeypatch.setattr(state, "MOST", 10)
    assert State([[module], *([] for _ in range(30))]).modules == []


def test_buffers_modes_and_generators_are_put_back():
    module, generator = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()), torch.Generator().manual_seed(5)
    module[1].eval()
    kept = State([module, generator])
    drawn = torch.rand(3, generator=generator)
    module(torch.randn(4, 2))
    module.eval()
    kept.restore()
    assert [part.training for part in module.modules()] == [True, True, False]
    assert torch.equal(module[0].running_mean, torch.zeros(2))
    assert module[0].num_batches_tracked == 0
    assert torch.equal(torch.rand(3, generator=generator), drawn)


class Teacher(nn.Module):
    """A policy whose teacher follows it by a moving average, in forward."""

    def __init__(self, how, reads_padding=False):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.teacher, self.how, self.reads_padding = nn.Linear(3, 3), nn.Linear(3, 3), how, reads_padding
        self.register_buffer("mean", torch.zeros(3))
        self.seen = 0

    @torch.no_grad()
    def follow(self, x):
        pairs = [*zip(self.teacher.parameters(), self.net.parameters(), strict=True)]
        if self.how == "in place":
            for old, new in pairs:
                old.mul_(0.9).add_(new, alpha=0.1)
        elif self.how == "data in place":
            for old, new in pairs:
                old.data.lerp_(new, 0.1)
        elif self.how == "all at once":
            torch._foreach_mul_([old for old, _ in pairs], 0.9)
        elif self.how == "other data":
            for old, new in pairs:
                old.data = old.data.lerp(new, 0.1)
        elif self.how == "another parameter":
            self.teacher.weight = nn.Parameter(self.teacher.weight.lerp(self.net.weight, 0.1))
        elif self.how == "another buffer":
            self.mean = 0.9 * self.mean + 0.1 * x.mean((0, 1))
        elif self.how == "another part":
            self.teacher = nn.Linear(3, 3).requires_grad_(False)
        elif self.how == "a counter":
            self.seen += 1

    def forward(self, b):
        mask = torch.ones_like(b["mask"]) if self.reads_padding else b["mask"]
        x = b["x"] * mask[..., None]
        self.follow(x)
        read = (x.sum(1) / mask.sum(1, keepdim=True))[:, None]
        return Answer(self.net(x + read) + self.teacher(x + read - self.mean) * (1 + self.seen))


HOW = ["in place", "data in place", "all at once", "other data", "another parameter", "another buffer", "another part"]


@pytest.mark.parametrize("reads_padding", [False, True])
@pytest.mark.parametrize("how", [*HOW, "a counter"])
def test_a_policy_that_changes_itself_in_each_run_is_audited_and_is_as_it_was_afterwards(how, reads_padding):
    policy = Teacher(how, reads_padding)
    held = {name: (one, one.detach().clone()) for name, one in [*policy.named_parameters(), *policy.named_buffers()]}
    real = torch.arange(4) < torch.tensor([[4], [2], [3]])
    batch = {"x": torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1)), "mask": real}
    excused = dict.fromkeys(["sampler", "loss sum", "loss count"], "none") | {"compact": "statistics of the batch"}
    report = audit_masks(policy, batch, [Padding("steps", real, {"x": 1}, {"mask": 1})], excused=excused)
    assert report.is_clean != reads_padding
    now = dict([*policy.named_parameters(), *policy.named_buffers()])
    assert now.keys() == held.keys()
    for name, (one, kept) in held.items():
        assert now[name] is one
        assert torch.equal(one, kept)
    assert policy.seen == 0


def test_gradients_that_a_policy_leaves_in_its_parameters_are_taken_away():
    module = nn.Linear(2, 2)
    kept = State(module)
    module(torch.ones(1, 2)).sum().backward()
    kept.restore()
    assert all(one.grad is None for one in module.parameters())


def test_of_parameters_only_those_that_are_written_into_are_copied_and_each_once():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    kept = State(module)
    with torch.no_grad(), kept.watching():
        module[1].weight.mul_(module[0].weight)
        module[1].weight.add_(1)
        torch.add(module[0].bias, 1, out=module[1].bias)
    assert [id(one) for one, _ in kept._copies] == [id(module[1].weight), id(module[1].bias)]


def test_a_lazy_module_becomes_what_it_should_and_stays_so():
    module = nn.LazyLinear(2)
    kept = State(module)
    module(torch.ones(1, 3))
    kept.restore()
    assert module.in_features == 3
    assert module.weight.shape == (2, 3)


def test_a_buffer_that_nobody_wrote_into_is_not_written_and_one_of_another_shape_is_left_alone():
    module = nn.BatchNorm1d(2)
    kept = State(module)
    versions = [buffer._version for buffer in module.buffers()]
    kept.restore()
    assert [buffer._version for buffer in module.buffers()] == versions
    held = module.running_mean
    held.resize_(3).fill_(7)
    kept.restore()
    assert held.tolist() == [7, 7, 7]


def test_what_a_module_holds_in_containers_is_put_back_with_the_tensors_in_it():
    module, inner = nn.Module(), {"seen": torch.ones(2)}
    module.masks, module.log, module.names, module.queue = {"inner": inner, "one": 1}, [inner, 2], {"a"}, deque([1], 2)
    kept = State(module)
    assert not kept.keeps
    kept.restore()
    assert not kept.keeps  # nothing was left in it
    inner["seen"] += 1
    inner["more"], module.masks["one"] = 3, 2
    module.log[:] = [7]
    module.names.add("b")
    module.queue.append(2)
    module.queue.append(3)
    kept.restore()
    assert kept.keeps
    assert module.masks["inner"] is inner
    assert module.masks["one"] == 1
    assert [*inner] == ["seen"]
    assert inner["seen"].tolist() == [1, 1]
    assert module.log == [inner, 2]
    assert module.names == {"a"}
    assert [*module.queue] == [1]
    assert module.queue.maxlen == 2


def test_a_dict_whose_names_have_changed_places_is_put_back():
    module = nn.Module()
    module.held = {"a": None, "b": None}
    kept = State(module)
    module.held["a"] = module.held.pop("a")
    kept.restore()
    assert [*module.held] == ["a", "b"]


def test_nothing_is_put_back_while_it_is_carried_on():
    module = nn.Module()
    module.log = []
    kept = State(module)
    with kept.carried_on():
        module.log.append(1)
        kept.restore()
        assert module.log == [1]
    assert module.log == []


def test_a_part_that_two_modules_share_is_put_back_once():
    shared = nn.Module()
    shared.register_buffer("seen", torch.zeros(2))
    kept = State([nn.Sequential(shared), nn.Sequential(shared)])
    shared.seen += 1
    before = shared.seen._version
    kept.restore()
    assert shared.seen._version == before + 1


def test_gradients_may_be_taken_through_batch_statistics_that_were_put_back_and_through_no_other_buffer():
    norm, scaled = nn.BatchNorm1d(2), nn.Module()
    scaled.register_buffer("scale", torch.ones(2))
    kept, x = State(norm, scaled), torch.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True)
    said = norm(x)
    kept.restore()
    said[0, 0].backward()
    assert torch.equal(norm.running_mean, torch.zeros(2))
    scaled.scale += 1
    said = x * scaled.scale
    kept.restore()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        said.sum().backward()


def test_a_buffer_that_requires_a_gradient_is_put_back():
    module = nn.Module()
    module.register_buffer("kept", torch.ones(2, requires_grad=True))
    kept = State(module)
    with torch.no_grad():
        module.kept += 1
    kept.restore()
    assert module.kept.tolist() == [1, 1]


def test_without_numpy_the_generator_of_python_is_kept(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy")
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with foreign_draws_kept():
        random.random()
    assert random.random() == expected


@pytest.mark.parametrize("fails", [False, True])
def test_the_generators_of_python_and_numpy_go_on_as_if_nothing_had_been_drawn(fails):
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    try:
        with foreign_draws_kept():
            random.random()
            np.random.rand()
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert (random.random(), np.random.rand()) == expected


class Writing(nn.Module):
    """Writes into something that it holds, in each run."""

    def __init__(self, write):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.kept, self.nested, self.write = [torch.zeros(1)], [(torch.zeros(1),)], write

    @torch.no_grad()
    def forward(self, b):
        self.write(self)
        return Answer(b["x"] * (self.weight.sum() + self.kept[0] + self.nested[0][0]))


def replace_in_a_list(module):
    module.kept[0] = module.kept[0] + 1


WRITES = {
    "a part of a parameter": lambda module: module.weight[1:].mul_(2),
    "an entry of a list": replace_in_a_list,
    "a tensor in a tuple in a list": lambda module: module.nested[0][0].add_(1),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_a_run_writes_into_is_put_back_after_it(write):
    module, real = Writing(write), torch.tensor([[True, True], [True, False]])
    policy = Policy(module, {"x": torch.ones(2, 2)}, [Padding("steps", real, {"x": 1})], axes={"steps": 1})
    answers = [policy.ask(policy.batch).prediction for _ in range(2)]
    assert torch.equal(*answers)
    assert answers[0][0, 0] > 3
    assert module.weight.tolist() == [1, 1, 1]
    assert [module.kept[0].item(), module.nested[0][0].item()] == [0, 0]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp uses it
@pytest.mark.parametrize("inside_func", [False, True])
def test_a_gradient_is_that_of_the_weights_with_which_a_run_was_made(inside_func):
    """They are halved in front of it and put back behind it. Inside `torch.func` no tensor has a storage of its own."""

    class Halving(nn.Linear):
        def forward(self, b):
            with torch.no_grad():
                self.weight.mul_(0.5)
            if inside_func:
                return Answer(torch.func.jvp(super().forward, (b["x"],), (torch.ones_like(b["x"]),))[0])
            return Answer(super().forward(b["x"]))

    module, x = Halving(2, 3), torch.ones(2, 2, 2)
    real, weight = torch.tensor([[True, True], [True, False]]), module.weight.detach().clone()
    policy = Policy(module, {"x": x}, [Padding("steps", real, {"x": 1})], axes={"steps": 1})
    policy.ask(policy.batch)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(policy.ask({"x": leaf}).prediction.sum(), leaf)
    assert torch.allclose(gradient, 0.5 * weight.sum(0).expand(2, 2, 2))
    assert torch.equal(module.weight, weight)


def test_a_container_that_holds_itself_is_met_once():
    kept = []
    kept.append(kept)
    assert len([*islice(state._contained([kept]), 5)]) == 1


@pytest.mark.skipif(not hasattr(TorchDispatchMode, "supports_higher_order_operators"), reason="this torch cannot")
def test_operations_that_are_given_functions_are_watched_as_well():
    with State(nn.Identity()).watching():
        assert torch.cond(torch.tensor(True), torch.sin, torch.cos, (torch.zeros(1),)).item() == 0
