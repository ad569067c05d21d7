"""Make the pages of the library's API from its docstrings, by sphinx-autoapi, which reads the code and imports nothing.

Each package has a page, and the templates in `book/_api` say what is on it. Our docstrings are written like Markdown
and in Google style, where autoapi expects reStructuredText: `to_rest` translates them. Signatures are shown as they
are written, since autoapi spells out each name in them and drops the quotes around shapes. On every page, a name that a
code block imports from the library is a link to its docstring.
"""

import ast
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from astroid.manager import AstroidManager
from sphinx.addnodes import pending_xref
from sphinx.ext.napoleon import Config, GoogleDocstring

IDEAS = ("embodiments", "padding", "masks", "flow", "loss", "attention")
"""The modules of the package itself in the order in which to read them. Any others follow by their names."""

INSIDE = ("checks", "complaints", "extras", "on_disk", "command")
"""Modules of the package itself that only its own code uses."""

GOOGLE = Config(napoleon_custom_sections=[("Attributes", "params_style")])

CODE = re.compile(r"`([^`]+)`")
SECTIONS = ("Args:", "Attributes:", "Example:", "Examples:", "Note:", "Raises:", "Returns:", "Warns:", "Yields:")
SPACE = r'(?:\s|<span class="w">\s*</span>)*'
IMPORT = re.compile(
    rf'<span class="kn">from</span>{SPACE}<span class="nn">(?P<module>groot_teach[\w.]*)</span>{SPACE}'
    rf'<span class="kn">import</span>(?P<names>{SPACE}<span class="p">\(</span>.*?<span class="p">\)</span>|[^\n]*)',
    re.DOTALL,
)
LONG_SIGNATURE = re.compile(r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>")
OBJECTS_OWN = re.compile("(Initialize self|Create and return a new object)[.]")
"""What every class says about its `__init__` or `__new__` that has no docstring."""
UNQUOTED = re.compile(r"((?:: |-> ))'([\w. |\[\]]+)'")
"""A type that is written as a text, since its class comes later in the file."""
PREFIX = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")
"""Where a name comes from, as in `collections.abc.Sequence`."""
NAME = re.compile(r'<span class="n">(\w+)</span>')


# ------------------------------------------------------------------------------------------------ docstrings


def to_rest(docstring: list[str]) -> list[str]:
    """A docstring in reStructuredText: code in double backticks, and an indented block outside a section as it is.

    A block in columns, with two spaces or more between them in each line, becomes a table.
    """
    rest, block, in_section = [], [], False
    for line in [*docstring, "The end."]:
        if line.strip() and not line.startswith("    "):
            rest += _as_table(block) or (["::", "", *block] if block else [])
            in_section, block = line.strip() in SECTIONS, []
        elif block or (line.strip() and not in_section):
            block.append(line)
            continue
        rest.append(CODE.sub(r"``\1``", line))
    return GoogleDocstring(rest[:-1], GOOGLE).lines()


def _as_table(block: list[str]) -> list[str]:
    rows = [re.split(r" {2,}", line.strip()) for line in block if line.strip()]
    if len(rows) < 2 or {len(row) for row in rows} != {len(rows[0])} or len(rows[0]) < 2:
        return []
    table = [".. list-table::", "   :class: api-columns", ""]
    for first, *others in rows:
        is_code = "`" not in first and re.search(r"[_.(]|^\w+$", first)
        cells = [
            f"``{first}``" if is_code else CODE.sub(r"``\1``", first),
            *(CODE.sub(r"``\1``", one) for one in others),
        ]
        table += [
            f"   {'-' if place else '* -'} {cell}".replace("   - ", "     - ", 1) for place, cell in enumerate(cells)
        ]
    return [*table, ""]


def first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s", paragraph)[0].rstrip(":")


# ------------------------------------------------------------------------------------------------ signatures


@cache
def definitions(path: str) -> dict[str, ast.AST]:
    """The functions and classes of a file and, as `Class.method`, what is in its classes."""
    found, todo = {}, [("", ast.parse(Path(path).read_text(encoding="utf-8")))]
    for prefix, parent in todo:
        for node in parent.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.setdefault(prefix + node.name, node)
            if isinstance(node, ast.ClassDef):
                todo.append((f"{prefix}{node.name}.", node))
    return found


def signature(node: ast.AST, known: Mapping[str, ast.AST] = MappingProxyType({})) -> str:
    """What stands behind the name of a function or a class: for a record, its fields.

    Args:
        node: the definition.
        known: the other definitions of its file. A record with a base that is not among them shows no fields.
    """
    if not isinstance(node, ast.ClassDef):
        return f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            return re.sub(r"^\(self(, )?", "(", f"({ast.unparse(one.args)})")
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    if "dataclass" in decorators:
        bases = [known.get(ast.unparse(base)) for base in node.bases]
        if None in bases:
            return ""
        given = [one for record in (*bases, node) for one in record.body if isinstance(one, ast.AnnAssign)]
        fields = [_field(one) for one in given if "init=False" not in ast.unparse(one)]
        return f"({', '.join(['*'] * ('kw_only=True' in decorators) + fields)})"
    return ""


def _field(one: ast.AnnAssign) -> str:
    """A field of a record as a parameter: a default that is given by `field(...)` is written as that default."""
    match one.value:
        case ast.Call(func=ast.Name(id="field"), keywords=keywords):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
            made = {"dict": "{}", "list": "[]"}.get(given.get("default_factory", ""), "")
            default = given.get("default", made)
        case value:
            default = ast.unparse(value) if value else ""
    return f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}" + (f" = {default}" if default else "")


def parameters(node: ast.AST, docstring: str, shapes: dict[str, str]) -> str:
    """What the arguments of a function are, as a list of fields, where its docstring leaves that to its signature.

    Args:
        shapes: what `groot_teach.shapes` says about each of its names.
    """
    if not isinstance(node, ast.FunctionDef) or ":param " in docstring:
        return ""
    arguments = [one for one in node.args.posonlyargs + node.args.args + node.args.kwonlyargs if one.annotation]
    meanings = {one.arg: _meaning(one.annotation, shapes) for one in arguments}
    if not any(meanings.values()):
        return ""
    return "\n".join(f":param {name}: {meaning}" for name, meaning in meanings.items() if meaning)


def _meaning(annotation: ast.expr, shapes: dict[str, str]) -> str:
    match annotation:
        case ast.BinOp(op=ast.BitOr(), left=left, right=ast.Constant(value=None)):
            meaning = _meaning(left, shapes)
            return meaning and f"{meaning.rstrip('.')}; or None."
        case ast.Name(id=name):
            return first_sentence(shapes.get(name, ""))
        case ast.Subscript(
            value=ast.Name(id=kind), slice=ast.Tuple(elts=[ast.Name(id="Tensor"), ast.Constant(value=axes)])
        ):
            return f"{kind}, ``{axes.strip()}``." if axes.strip() else f"{kind}, a single number."
    return ""


def story_of(node: ast.AST) -> str:
    """What a page says about a bug: the words of its record, which stand in the decorator `@bug`. "" for others."""
    for decorator in getattr(node, "decorator_list", ()):
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "bug":
            part, name = (ast.literal_eval(argument) for argument in decorator.args)
            said = {keyword.arg: ast.literal_eval(keyword.value) for keyword in decorator.keywords}
            seen_by = ", ".join(said.get("seen_by", ())) or "none on the small batches of the toy policy"
            named = name if "_" in name.split()[0] else f"{name[0].upper()}{name[1:]}"
            arguments = ", ".join(one.arg for one in node.args.args)
            return (
                f"{named}. {said['story']}\n\n`{node.name}.wrong({arguments})` calls the wrong part, which takes the "
                f"place of `{part}`.\n\nSymptom: {said['symptom']}. Probes that see it: {seen_by}.\n\n"
                f"To somebody who makes it: {said['message']}\n\nSource: {said['source']}."
            )
    return ""


# ------------------------------------------------------------------------------------------------ names


def reading_order(modules) -> list:
    known = {name: place for place, name in enumerate(IDEAS)}
    return sorted(modules, key=lambda module: (known.get(module.short_name, len(known)), module.name))


def is_inside(module, offered) -> bool:
    """Whether a reader who uses the library needs nothing of a module: its package hands on no name of it."""
    if module.id.count(".") == 1:
        return module.short_name in INSIDE
    return bool(offered) and not any(one.id.startswith(f"{module.id}.") for one in offered)


def homes(env) -> dict[str, list[str]]:
    """Where docstrings stand: a name's last part -> the full names of what is called so in any module."""
    if not hasattr(env.app, "api_homes"):
        env.app.api_homes = {}
        for full, one in env.autoapi_all_objects.items():
            if one.display and one.type not in ("method", "property", "attribute"):
                env.app.api_homes.setdefault(full.rpartition(".")[2], []).append(full)
    return env.app.api_homes


def home_of(name: str, env) -> str:
    """Where the docstring of an imported name stands, as a full name; "" if it has none.

    What a package hands on is followed to its module. What it loads only when asked for is found by its last part, if
    that is called so once.
    """
    objects = env.autoapi_all_objects
    while name in objects and "original_path" in objects[name].obj:
        name = objects[name].obj["original_path"]
    package, _, last = name.rpartition(".")
    below = [full for full in homes(env).get(last, ()) if full.startswith(f"{package}.")]
    if len(below) > 1:  # a function may be called like a module
        below = [full for full in below if objects[full].type not in ("module", "package")]
    return name if name in below else below[0] if len(below) == 1 else ""


def handed_on(package, env) -> list:
    """What a package's `__all__` offers, as the objects that have the docstrings."""
    found = (home_of(f"{package.id}.{name}", env) for name in package.all or ())
    return [env.autoapi_all_objects[name] for name in found if name]


# ------------------------------------------------------------------------------------------------ in Sphinx


class Elsewhere:
    """All modules but the library's own. astroid opens none of them, or the pages would depend on what is installed:
    a method without a docstring takes that of a base class, which is found where torch or matplotlib is."""

    def __contains__(self, module: str) -> bool:
        return module.partition(".")[0] not in ("groot_teach", "builtins")


def node_of(obj, app) -> ast.AST | None:
    """The definition of an autoapi object in its file. A record made by a call, as namedtuple("A", "x y"), has none."""
    return definitions(str(file_of(obj, app))).get(obj.qual_name)


def file_of(obj, app) -> Path:
    module = Path(app.srcdir, *obj.id.removesuffix(f".{obj.qual_name}").split("."))
    return module / "__init__.py" if module.is_dir() else module.with_suffix(".py")


def setting(code: str, name: str) -> list[str]:
    """The switches of a preset and their positions, as lines of code; none for any other name of a module."""
    for node in ast.parse(code).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=found)], value=ast.Call(func=ast.Name(id=made), args=of, keywords=given)
            ):
                if found == name and made in ("Masking", "replace"):
                    switches = [
                        f"{one.arg}={ast.unparse(one.value)}," for one in given if one.arg not in ("name", "source")
                    ]
                    return [
                        f"{made}(",
                        *(f"    {line}" for line in [*(f"{ast.unparse(one)}," for one in of), *switches]),
                        ")",
                    ]
    return []


def configure(app, config):
    def written(obj):
        node = node_of(obj, app)
        return UNQUOTED.sub(r"\1\2", signature(node, definitions(str(file_of(obj, app))))) if node else ""

    def with_parameters(obj):
        objects = app.env.autoapi_all_objects
        names = [one for one in objects if one.startswith("groot_teach.shapes.")]
        shapes = {name.rpartition(".")[2]: objects[name].docstring for name in names}
        found = parameters(node_of(obj, app), obj.docstring, shapes)
        text, marker, rest = obj.docstring.partition(":raises ")
        return f"{text.rstrip()}\n\n{found}\n{marker}{rest}\n" if found else obj.docstring

    def prepare(templates):
        templates.filters |= {"first_sentence": first_sentence, "reading_order": reading_order, "signature": written}
        templates.filters["handed_on"] = lambda package: handed_on(package, app.env)
        templates.tests["bug"] = lambda obj: bool(node_of(obj, app)) and bool(story_of(node_of(obj, app)))
        templates.filters["setting"] = lambda obj: setting(file_of(obj, app).read_text("utf-8"), obj.short_name)
        templates.filters["plain_type"] = lambda annotation: PREFIX.sub("", annotation)
        templates.filters["with_parameters"] = with_parameters
        templates.tests["inside"] = is_inside

    definitions.cache_clear()
    config.autoapi_prepare_jinja_env = prepare
    # Pages link into the library: when its code has changed, all of them are written again.
    sources = sorted((app.srcdir / "groot_teach").rglob("*.py"))
    config.api_digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def show(app, what, name, obj, skip, options):
    """A package is shown even if only its modules say what it is for, and a bug by the words of its record."""
    if what == "function" and not obj.docstring and (story := story_of(node_of(obj, app))):
        obj.docstring = "\n".join(to_rest(story.splitlines()))
        return False
    return False if what == "package" else None


def translate(app, what, name, obj, options, lines):
    for place in [place for place, line in enumerate(lines) if OBJECTS_OWN.match(line)]:
        del lines[place:]
    lines[:] = to_rest(lines)


def resolve_types(app, doctree):
    """A type in a signature leads to the class that its module imports, if that is ours; else it is only text."""
    for node in list(doctree.findall(pending_xref)):
        if node["refdomain"] == "py":
            name = node["reftarget"]
            full = name if name in app.env.autoapi_all_objects else f"{node.get('py:module')}.{name}"
            node["reftype"], node["reftarget"] = "obj", home_of(full, app.env)  # not "class": an alias is none
            if not node["reftarget"]:
                node.replace_self(node.children)


def link_imports(app, pagename, templatename, context, doctree):
    """A name without a docstring leads to its module."""
    objects = app.env.get_domain("py").objects

    def statement(found):
        def link(name):
            place = objects.get(home_of(f"{found['module']}.{name[1]}", app.env)) or objects.get(found["module"])
            if place is None:
                return name[0]
            return f'<a class="api-link" href="{context["pathto"](place.docname)}#{place.node_id}">{name[0]}</a>'

        return found[0].replace(found["names"], NAME.sub(link, found["names"]))

    if "body" in context:
        context["body"] = IMPORT.sub(statement, context["body"])


def plain_lines(app, pagename, templatename, context, doctree):
    """Sphinx writes a long signature as a list of definitions without a term, which confuses screen readers."""

    def spans(found):
        return '<span class="sig-lines">\n' + found[1].replace("<dd>", "<span>").replace("</dd>", "</span>") + "</span>"

    if "body" in context:
        context["body"] = LONG_SIGNATURE.sub(spans, context["body"])


def setup(app):
    AstroidManager.brain["module_denylist"] = Elsewhere()
    app.setup_extension("autoapi.extension")
    app.add_config_value("api_digest", "", "html")
    app.connect("config-inited", configure)
    app.connect("autoapi-skip-member", show)
    app.connect("autodoc-process-docstring", translate)
    app.connect("doctree-read", resolve_types)
    app.connect("html-page-context", link_imports)
    app.connect("html-page-context", plain_lines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
