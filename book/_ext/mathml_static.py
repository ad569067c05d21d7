"""Write formulas as MathML while the book is built: every browser draws it, and screen readers speak it, with no
script, style sheet or font to fetch.

latex2mathml does not refuse what it does not know: it prints the command, drops an unknown environment, and
closes what was left open. A reader would see a wrong formula, so here each of these stops the build.
"""

import re

from docutils import nodes
from latex2mathml.commands import MATRICES
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number


def to_mathml(tex: str, display: str) -> str:
    """`tex` as a <math> element; ValueError says what is not understood."""
    for name in re.findall(r"\\begin\s*\{([^}]*)\}", tex):
        if f"\\{name}" not in MATRICES:
            raise ValueError(f"no environment {name!r}")
    if (bare := re.sub(r"\\[\\{}]", "", tex)).count("{") != bare.count("}"):
        raise ValueError("braces do not balance")
    mathml = convert(tex, display=display)
    if unknown := re.search(r"\\[A-Za-z]*", mathml):
        raise ValueError(f"no command {unknown.group()}")
    return mathml


def render(node: nodes.Element, display: str) -> str:
    try:
        return to_mathml(node.astext().strip(), display)
    except Exception as error:  # latex2mathml has a dozen unrelated exception classes
        place = f"{node.source or '?'}:{node.line or '?'}"
        reason = str(error) or type(error).__name__
        raise ExtensionError(f"{place}: cannot write this formula as MathML: {reason}\n  {node.astext()}") from error


def visit_inline(self, node):
    self.body.append(f'<span class="math notranslate nohighlight">{render(node, "inline")}</span>')
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    self.body.append(render(node, "block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml_static", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
