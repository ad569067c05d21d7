"""Leave out of the pages what `check` says of an answer that nobody has written yet.

A page has no Python, so the box "not attempted" would only stand between the task and its case on paper. The notebooks
keep it: there a reader can write an answer and run the cell.
"""

from docutils import nodes

SAID = ": not attempted"
"""How the headline of such a box ends."""


def leave_out(app, doctree):
    outputs = [node for node in doctree.findall(nodes.container) if "cell_output" in node["classes"]]
    for output in outputs:
        if SAID in output.astext():
            output.parent.remove(output)


def setup(app):
    app.connect("doctree-read", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
