"""Break the library on purpose, one small change at a time, and see whether its tests notice.

    python -m tools.mutate groot_teach/loss.py
    python -m tools.mutate groot_teach/audit/draws.py --tests tests/audit/test_draws.py tests/audit/test_audit.py

A **mutant** is the module with one change: `<` for `<=`, a dropped statement, a `~` less, an axis of a shape that is no
longer checked. If a test fails, the mutant is killed. If none does, it survives: either a test is missing, or the
change changes nothing. tools/survivors.json says of each known survivor why it may live; any other one is a failure,
and so is a reason that no survivor needs any more.

A mutant is first asked of the module's own tests. One that they let live, and of which no reason is known, is asked of
the other tests in their folder as well. Only tests that come to the changed lines are asked: which ones do, all of them
show in a first run, without any change.

No file is changed. torch is loaded once; each mutant then gets a fork of this process, in which the changed module
stands in for the real one. (Tests that start a process of their own see the real one there.) A fork needs Unix. As many
mutants are asked at a time as there are cores, or `--jobs`; `--part 2/5` makes the second of five parts of them.

Not changed: docstrings, prose (a string with a space in it), the text of f-strings, types of results.
"""

import argparse
import ast
import gc
import json
import marshal
import multiprocessing
import os
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from math import ceil
from pathlib import Path
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "tools" / "survivors.json"
FORK = multiprocessing.get_context("fork")


# ---------------------------------------------------------------------------------------------- what is changed

OTHER_COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OTHER_OPERATION = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.MatMult: ast.Mult,
}
OTHER_NAMES = [("any", "all"), ("min", "max"), ("sum", "mean"), ("zeros", "ones"), ("zeros_like", "ones_like")]
OTHER_NAME = dict(OTHER_NAMES) | {there: here for here, there in OTHER_NAMES}


def without_one(items: list) -> Iterator[list]:
    for place in range(len(items)):
        yield items[:place] + items[place + 1 :]


def neighbours_swapped(items: list) -> Iterator[list]:
    for place in range(len(items) - 1):
        yield [*items[:place], items[place + 1], items[place], *items[place + 2 :]]


def changed(node: ast.AST, **parts: Any) -> ast.AST:
    """A copy of one node with other parts; what lies below it is shared."""
    other = type(node)(**{**{name: getattr(node, name) for name in node._fields if hasattr(node, name)}, **parts})
    return ast.copy_location(other, node)


def expressions(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of an expression."""
    match node:
        case ast.Compare(ops=ops):
            for place, operator in enumerate(ops):
                for other in OTHER_COMPARISONS[type(operator)]:
                    yield changed(node, ops=[*ops[:place], other(), *ops[place + 1 :]])
        case ast.BoolOp(op=operator, values=values):
            yield changed(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for fewer in without_one(values):
                yield changed(node, values=fewer) if len(fewer) > 1 else fewer[0]
        case ast.BinOp(left=left, op=operator, right=right):
            if type(operator) in OTHER_OPERATION:
                yield changed(node, op=OTHER_OPERATION[type(operator)]())
            if isinstance(operator, ast.BitAnd | ast.BitOr):
                yield from (left, right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield changed(node, value=not value)
        case ast.Constant(value=int() | float() as value):
            yield from (changed(node, value=value + 1), changed(node, value=value - 1))
        case ast.Constant(value=str() as value) if value and " " not in value:
            yield changed(node, value="")
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.Attribute(attr=name) if name in OTHER_NAME:
            yield changed(node, attr=OTHER_NAME[name])
        case ast.Name(id=name, ctx=ast.Load()) if name in OTHER_NAME:
            yield changed(node, id=OTHER_NAME[name])
        case ast.Slice(lower=lower, upper=upper, step=step):
            for name, bound in (("lower", lower), ("upper", upper), ("step", step)):
                if bound:
                    yield changed(node, **{name: None})
        case ast.List(elts=items, ctx=ast.Load()) | ast.Tuple(elts=items, ctx=ast.Load()) | ast.Set(elts=items):
            shorter = list(without_one(items))
            if items and ast.unparse(items[-1]) == ":":
                shorter.pop()  # mask[:, None] is mask[:, None, :]
            yield from (changed(node, elts=fewer) for fewer in shorter)
            if isinstance(node, ast.Tuple):
                yield from (changed(node, elts=other) for other in neighbours_swapped(items))
        case ast.Dict(keys=keys, values=values):
            for fewer in without_one(list(zip(keys, values, strict=True))):
                yield changed(node, keys=[key for key, _ in fewer], values=[value for _, value in fewer])
        case ast.Call(func=called, args=given, keywords=named):
            yield from (changed(node, args=other) for other in neighbours_swapped(given))
            yield from (changed(node, keywords=fewer) for fewer in without_one(named))
            if isinstance(called, ast.Attribute) and ast.unparse(called.value) not in ("torch", "torch.nn.functional"):
                yield called.value  # the method is not called


def statements(node: ast.AST, first_bindings: set[ast.AST]) -> Iterator[ast.AST]:
    """What may stand in the place of a statement, and of the few other parts that are none of the two."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return  # a docstring
        case ast.Expr() | ast.AugAssign() | ast.For() | ast.Delete() | ast.Break() | ast.Continue():
            yield ast.copy_location(ast.Pass(), node)
            if isinstance(node, ast.AugAssign) and type(node.op) in OTHER_OPERATION:
                yield changed(node, op=OTHER_OPERATION[type(node.op)]())
        case ast.Assign() if node not in first_bindings:  # without its first value a name is a NameError
            yield ast.copy_location(ast.Pass(), node)
        case ast.Return(value=ast.expr()):
            yield changed(node, value=ast.Constant(None))
        case ast.If(test=test) | ast.While(test=test):
            for value in (True, False) if isinstance(node, ast.If) else (False,):
                yield changed(node, test=ast.copy_location(ast.Constant(value), test))
        case ast.With(items=items, body=body) if all(item.optional_vars is None for item in items):
            yield ast.copy_location(ast.If(test=ast.Constant(True), body=body, orelse=[]), node)
        case ast.ExceptHandler(body=body):
            yield changed(node, body=[ast.copy_location(ast.Raise(), body[0])])
        case ast.comprehension(ifs=[_, *_] as conditions):
            yield from (changed(node, ifs=fewer) for fewer in without_one(conditions))


def signatures(node: ast.AST) -> Iterator[ast.AST]:
    """A function or a record that checks less: without a decorator, an annotation, or one axis of a shape.

    An axis that stands once in a signature binds nothing: without its name, the same calls are refused.
    """
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return
    yield from (changed(node, decorator_list=fewer) for fewer in without_one(node.decorator_list))
    decorators = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    if not any(isinstance(decorator, ast.Name) and decorator.id == "checked" for decorator in decorators):
        return
    is_function = isinstance(node, ast.FunctionDef)
    parts = arguments_of(node) if is_function else node.body
    shapes = [find_shape(getattr(part, "annotation", None)) for part in parts]
    times = Counter(axis for shape in shapes if shape for axis in shape.value.split())

    def with_annotation(place: int, annotation: ast.expr) -> ast.AST:
        new = [*parts[:place], changed(parts[place], annotation=annotation), *parts[place + 1 :]]
        if not is_function:
            return changed(node, body=new)
        count = len(node.args.args)
        return changed(node, args=changed(node.args, args=new[:count], kwonlyargs=new[count:]))

    for place, shape in enumerate(shapes):
        annotation = getattr(parts[place], "annotation", None)
        if annotation is None:
            continue
        yield with_annotation(place, ast.copy_location(ast.Name("object", ast.Load()), annotation))
        axes = shape.value.split() if shape else []
        looser = ["..."] if any(not axis.startswith(("*", "...")) for axis in axes) else []
        for index, axis in enumerate(axes):
            if times[axis] > 1:
                unnamed = "..." if axis.startswith("*") else "_"
                looser.append(" ".join([*axes[:index], unnamed, *axes[index + 1 :]]))
        for text in dict.fromkeys(looser):
            yield with_annotation(place, WithShape(shape, text).visit(copy_of(annotation)))


def arguments_of(function: ast.FunctionDef) -> list[ast.arg]:
    return function.args.args + function.args.kwonlyargs


def find_shape(annotation: ast.AST | None) -> ast.Constant | None:
    """The string of `Float[Tensor, "batch width"]`, wherever it stands in an annotation."""
    for node in ast.walk(annotation) if annotation else ():
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and node.slice.elts:
            last = node.slice.elts[-1]
            if isinstance(last, ast.Constant) and isinstance(last.value, str):
                return last
    return None


class WithShape(ast.NodeTransformer):
    def __init__(self, shape: ast.Constant, text: str) -> None:
        self.old, self.new = shape.value, text

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return changed(node, value=self.new) if node.value == self.old else node


def copy_of(expression: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(expression), mode="eval").body


# --------------------------------------------------------------------------------------------------- the mutants


class Mutant(NamedTuple):
    line: int
    lines: range  # a test that comes to none of them cannot notice
    where: str  # the function or class
    change: str
    code: bytes  # marshalled


def mutants(file: Path) -> Iterator[Mutant]:
    """Every module that differs from `file` by one change."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    first_bindings, seen = find_first_bindings(tree), Counter()
    for parent, field, place, node, where, lines in places(tree):
        for other in (*expressions(node), *statements(node, first_bindings), *signatures(node)):
            if ast.dump(node) == ast.dump(other):
                continue
            line = getattr(node, "lineno", getattr(parent, "lineno", 0))
            put(parent, field, place, other)
            code = marshal.dumps(compile(ast.fix_missing_locations(tree), file, "exec"))
            put(parent, field, place, node)
            change = difference(node, other)
            seen[where, change] += 1
            times = seen[where, change]
            yield Mutant(line, lines, where, change if times == 1 else f"{change} ({times})", code)


def places(parent: ast.AST, where: str = "", lines: range | None = None) -> Iterator[tuple]:
    """Each node that may be replaced: parent, field, index in a list or None, the node, its function, its lines.

    The lines are those of the whole statement, or, of a statement that holds others, those of the node.
    """
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns"):
            continue
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST):
                continue
            if isinstance(parent, ast.JoinedStr) and isinstance(node, ast.Constant):
                continue  # the text between the braces of an f-string
            is_named = isinstance(node, ast.FunctionDef | ast.ClassDef)
            inner = f"{where}.{node.name}".lstrip(".") if is_named else where
            placed = node if hasattr(node, "lineno") else parent
            own = lines or range(getattr(placed, "lineno", 0), getattr(placed, "end_lineno", 0) + 1)
            yield parent, field, place, node, inner, own
            is_whole = isinstance(node, ast.stmt) and not hasattr(node, "body")
            yield from places(node, inner, own if is_whole else lines)


def put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def find_first_bindings(tree: ast.AST) -> set[ast.AST]:
    """The assignments that give a name its first value."""
    found = set()
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.Module | ast.FunctionDef | ast.ClassDef):
            continue
        known = {argument.arg for argument in ast.walk(scope) if isinstance(argument, ast.arg)}
        for node in sorted((n for n in ast.walk(scope) if isinstance(n, ast.Assign)), key=lambda n: n.lineno):
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            if names - known:
                found.add(node)
            known |= names
    return found


def difference(node: ast.AST, other: ast.AST) -> str:
    """`old -> new`, the lines that differ alone."""
    if isinstance(node, ast.FunctionDef) and node.args is not other.args:
        pairs = zip(arguments_of(node), arguments_of(other), strict=True)
        node, other = next((old, new) for old, new in pairs if old is not new)
    before, after = (ast.unparse(n).splitlines() for n in (node, other))
    if isinstance(node, ast.For | ast.If | ast.While | ast.With | ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
        while before and after and before[0] == after[0]:
            del before[0], after[0]
        while before and after and before[-1] == after[-1]:
            del before[-1], after[-1]
    return " ".join(f"{' '.join(before)} -> {' '.join(after) or 'nothing'}".split())


# ----------------------------------------------------------------------------------------------------- the tests


class InItsPlace(MetaPathFinder, SourceFileLoader):
    """Finds the mutant where the import asks for the module."""

    def __init__(self, file: Path, code: CodeType) -> None:
        parts = file.relative_to(ROOT).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.module = ".".join(parts[:-1] if self.is_package else parts)
        self.code = code
        SourceFileLoader.__init__(self, self.module, str(file))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.module:
            return None
        inside = [str(Path(self.path).parent)] if self.is_package else None
        return spec_from_file_location(name, self.path, loader=self, submodule_search_locations=inside)

    def get_code(self, fullname: str) -> CodeType:
        return self.code


def file_of(test: str) -> Path:
    return Path(test.partition("::")[0])


class FirstFailure:
    """A pytest plugin: notes which test fails first."""

    failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = "at import"


class Asked(FirstFailure):
    """A pytest plugin: asks some of the tests, the likeliest to fail first, and notes which one fails.

    Those that killed a mutant lately go first, since neighbours die alike, and then the quickest.
    """

    def __init__(self, wanted: dict[str, float], lately: list[str]) -> None:
        self.wanted = wanted
        self.rank = {test: rank for rank, test in enumerate(lately)}

    def pytest_collection_modifyitems(self, items: list) -> None:
        items[:] = [item for item in items if item.nodeid in self.wanted]
        items.sort(key=lambda item: (self.rank.get(item.nodeid, len(self.rank)), self.wanted[item.nodeid]))


class Visits(FirstFailure):
    """A pytest plugin: to which lines of the modules each test comes, and how many seconds it takes.

    Lines that run at the import of a module have no test of their own: they are noted under an empty name.
    """

    def __init__(self, files: list[Path]) -> None:
        self.files = {str(file) for file in files}
        self.lines: dict[str, dict[str, set[int]]] = {file: defaultdict(set) for file in self.files}
        self.seconds: dict[str, float] = {}
        self.test, self.since, self.status = "", 0.0, 0

    def pytest_sessionstart(self) -> None:
        sys.settrace(self.call)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.test, self.since = nodeid, perf_counter()
        sys.settrace(self.call)  # a test may have set its own

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = perf_counter() - self.since

    def call(self, frame: FrameType, event: str, argument: Any) -> Callable | None:
        file = frame.f_code.co_filename
        if file not in self.files:
            return None
        visited = self.lines[file][self.test]
        visited.add(frame.f_lineno)

        def line(frame: FrameType, event: str, argument: Any) -> Callable:
            visited.add(frame.f_lineno)
            return line

        return line


OPTIONS = [
    "-x",
    "-q",
    "--rootdir",
    ".",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:nbval",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
]


def in_a_fork(seconds: int, run: Callable[[], Any]) -> Any:
    """What `run` returns in a fork of this process, or None where it crashed, or computed for longer.

    `seconds` of computing, not of a clock: on a busy machine the same tests take longer and compute as much.
    """

    def answer(send: Any) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        send.send(run())

    receive, send = FORK.Pipe(duplex=False)
    child = FORK.Process(target=answer, args=(send,))
    child.start()
    send.close()
    try:
        result = receive.recv() if receive.poll(60 * seconds) else None
    except EOFError:
        result = None
    if result is None:
        child.kill()
    child.join()
    return result


def look_at(files: list[Path], tests: list[str]) -> Visits:
    """One run of the tests, without any change.

    Raises:
        SystemExit: a test fails.
    """
    import pytest

    def run() -> Visits:
        visits = Visits(files)
        visits.status = int(pytest.main([*OPTIONS, *tests], plugins=[visits]))
        sys.settrace(None)
        return visits

    visits = in_a_fork(3600, run)
    if visits is None or visits.status:
        failed = visits.failed if visits else "they crashed, or computed for an hour"
        name = failed.partition("::")[2] or failed or f"pytest ended with status {visits.status}"
        raise SystemExit(f"{' '.join(tests)}: the tests fail before anything is changed: {name}")
    return visits


def first_to_fail(file: Path, mutant: Mutant, tests: dict[str, float], lately: list[str]) -> str:
    """The test that kills a mutant, or an empty text where it survives. `tests` have the seconds that each takes."""
    import pytest

    if not tests:
        return ""

    def run() -> tuple[int, str]:
        sys.meta_path.insert(0, InItsPlace(file, marshal.loads(mutant.code)))
        asked = Asked(tests, lately)
        files = dict.fromkeys(str(file_of(test)) for test in tests)
        return int(pytest.main([*OPTIONS, *files], plugins=[asked])), asked.failed

    seconds = ceil(30 + 3 * sum(tests.values()))
    status, failed = in_a_fork(seconds, run) or (None, f"it crashed, or computed for {seconds} s")
    return "" if status in (0, 5) else failed or "at import"  # 5: none of these tests is there any more


def load_once() -> None:
    """What every fork would load again, and takes longest."""
    import beartype  # noqa: F401
    import hypothesis
    import jaxtyping  # noqa: F401
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    torch.testing.assert_close(torch.ones(1), torch.ones(1))  # its first call loads a second of modules
    generate = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a failure is enough, it need not be small
    hypothesis.settings.register_profile("mutants", phases=generate, database=None)
    hypothesis.settings.load_profile("mutants")
    gc.freeze()  # or each fork would look through all of torch when it ends


LATELY: list[str] = []  # the tests that killed a mutant lately in this process, the last one first


def fate(file: Path, mutant: Mutant, own: dict[str, float], further: dict[str, float]) -> dict:
    """What becomes of a mutant: by which test it is killed, or an empty text."""
    test = first_to_fail(file, mutant, own, LATELY) or first_to_fail(file, mutant, further, LATELY)
    if test:
        LATELY[:] = [test, *(name for name in LATELY if name != test)]
    named = test.partition("::")[2] or test
    result = "killed" if test else "survived"
    return {"line": mutant.line, "in": mutant.where, "change": mutant.change, "result": result, "by": named}


def examine(file: Path, visits: Visits, own: list[str], part: slice, jobs: int, progress: Callable) -> dict:
    """What became of each mutant of one module. `own` tests come first, others for survivors without a reason."""
    visited, explained = visits.lines[str(file)], reasons_for(str(file.relative_to(ROOT)))
    if not visited:
        raise SystemExit(f"{file.name}: its tests never import it")

    def asked(mutant: Mutant) -> tuple[Path, Mutant, dict[str, float], dict[str, float]]:
        at_import = not visited[""].isdisjoint(mutant.lines)
        able = {test for test in visits.seconds if at_import or not visited[test].isdisjoint(mutant.lines)}
        first = {test for test in able if any(file_of(test).is_relative_to(name) for name in own)}
        then = able - first if (mutant.where, mutant.change) not in explained else set()
        return file, mutant, *({test: visits.seconds[test] for test in tests} for tests in (first, then))

    every = list(mutants(file))
    todo = [asked(mutant) for mutant in every[part]]
    with ProcessPoolExecutor(jobs, FORK) as pool:
        found = list(progress(pool.map(fate, *zip(*todo, strict=True)), str(file.relative_to(ROOT)), len(todo)))
    survivors = [{name: one[name] for name in ("line", "in", "change")} for one in found if one["result"] != "killed"]
    killed = {(one["in"], one["change"]) for one in found if one["result"] == "killed"}
    needed = {(mutant.where, mutant.change) for mutant in every} - killed  # those of other parts are for other runs
    old_reasons = [f"{where}: {change}" for where, change in explained.keys() - needed]
    counts = {"mutants": len(found), "killed": len(killed)}
    return counts | {"survivors": survivors, "old reasons": sorted(old_reasons), "all": found}


# --------------------------------------------------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="+", type=Path, metavar="MODULE", help="a Python file of the library")
    parser.add_argument(
        "--tests",
        nargs="+",
        metavar="FILE",
        help="the tests that should notice (of groot_teach/a/b.py, tests/a/test_b.py; of its `__init__` and "
        "`__main__`, tests/a/test_a.py and tests/a/test_command.py)",
    )
    parser.add_argument(
        "--further",
        nargs="+",
        metavar="FILE",
        help="tests that are asked about a survivor without a reason (of a module in a package: the folder of its "
        "tests, unless --tests are given)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to store every mutant and its end, as JSON")
    parser.add_argument(
        "--part", type=part_of, default="1/1", metavar="K/N", help="only every Nth mutant, from the Kth on"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="how many mutants at a time")
    parser.add_argument("--list", action="store_true", help="only print the mutants")
    options = parser.parse_args(arguments)
    files = [module.resolve() for module in options.modules]
    if options.list:
        for file in files:
            for mutant in mutants(file):
                print(f"{file.relative_to(ROOT)}:{mutant.line} {mutant.where}: {mutant.change}")
        return 0

    from tqdm.auto import tqdm

    tqdm.monitor_interval = 0  # its thread would be there at each fork
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # plugins, nbval above all, take longer to load than most tests
    load_once()
    report, failed, looked = {}, False, {}
    for file in files:
        name = str(file.relative_to(ROOT))
        own = Path(named_tests(file))
        folder = [str(own.parent)] if own.parent.name != "tests" else []
        tests = options.tests or ([str(own)] if own.exists() else folder)
        further = options.further or ([] if options.tests else folder)
        both = (*further, *(test for test in tests if not any(Path(test).is_relative_to(other) for other in further)))
        if both not in looked:
            print(f"{' '.join(both)}: which tests come to which lines? One run of them all.", flush=True)
            looked[both] = look_at(files, [*both])
        report[name] = examine(
            file,
            looked[both],
            tests,
            options.part,
            options.jobs,
            lambda todo, what, total: tqdm(todo, desc=what, unit="mutant", total=total),
        )
        failed |= not explain(name, report[name])
        if options.out:
            options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(failed)


def part_of(text: str) -> slice:
    """`2/5` -> the second of five parts."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected K/N, such as 2/5 for the second of five parts")
    return slice(int(part) - 1, None, int(parts))


def named_tests(file: Path) -> str:
    """`groot_teach/audit/draws.py` -> `tests/audit/test_draws.py`: the tests are the same tree again.

    The tests of a package's `__init__` have the name of the package, and those of its `__main__` are `test_command.py`.
    """
    *rooms, name = file.relative_to(ROOT).with_suffix("").parts
    name = {"__init__": rooms[-1], "__main__": "command"}.get(name, name) if rooms else name
    return "/".join(["tests", *rooms[1:], f"test_{name}.py"])


def reasons_for(name: str) -> dict[tuple[str, str], str]:
    """Why known survivors of a module may live: function and change -> the reason."""
    reasons = json.loads(REASONS.read_text(encoding="utf-8")).get(name, []) if REASONS.exists() else []
    return {(one["in"], one["change"]): one["why"] for one in reasons}


def explain(name: str, found: dict) -> bool:
    """Prints the survivors of a module with their reasons; False if one has none, or a reason has no survivor."""
    why = reasons_for(name)
    print(f"{name}: {found['killed']} of {found['mutants']} killed, {found['killed'] / found['mutants']:.1%}")
    for survivor in found["survivors"]:
        survivor["why"] = why.get((survivor["in"], survivor["change"]), "")
        place = f"{name}:{survivor['line']} {survivor['in']}"
        print(f"  {place}: {survivor['change']}\n    {survivor['why'] or 'SURVIVES, and no reason is known'}")
    for old in found["old reasons"]:
        print(f"  {REASONS.name}: {old}\n    IS KILLED now, or cannot be made: remove its reason")
    return not found["old reasons"] and all(survivor["why"] for survivor in found["survivors"])


if __name__ == "__main__":
    sys.exit(main())
