"""A report as JUnit-style XML, which CI systems read: a test case for each stage and axis.

    failure    something was found that is not declared as intended
    error      nothing was found, and somebody could not look
    skipped    nobody looked, and that is excused

What is declared as intended passes, and is told in the output of its test case.
"""

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

if TYPE_CHECKING:
    from groot_teach.audit.report import MaskReport

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SUITE = "audit-masks"


def junit(report: "MaskReport", subject: str = "") -> str:
    """The report as XML.

    Args:
        report: the report.
        subject: what was audited; it names the test suite.
    """
    suite = Element("testsuite", name=_text(subject or SUITE))
    for stage, cells in report.cells().items():
        for axis, said in cells.items():
            if said:
                case = SubElement(suite, "testcase", classname=_text(f"{SUITE}.{stage}"), name=_text(axis))
                _fill(case, report, stage, axis)
    return _written(suite) if len(suite) else junit_of_nothing(report.headline, subject)


def junit_of_nothing(why: str, subject: str = "") -> str:
    """The same where nothing was audited: one test case, with the error."""
    suite = Element("testsuite", name=_text(subject or SUITE))
    _problem(SubElement(suite, "testcase", classname=SUITE, name="audit"), "error", "nothing was audited", why, why)
    return _written(suite)


def _fill(case: Element, report: "MaskReport", stage: str, axis: str) -> None:
    lines = [line for line in report.lines if line.is_of(stage, axis)]
    for mark, tag in (("!", "failure"), ("?", "error")):
        wrong = [line for line in lines if line.mark == mark]
        if wrong:
            kind = wrong[0].place.kind if mark == "!" and wrong[0].place else "could not look"
            _problem(case, tag, kind, wrong[0].text, "\n".join(map(str, lines)))
            return
    if report.cell(stage, axis) == "-":
        SubElement(case, "skipped", message=_text(lines[0].text))
    elif lines:
        SubElement(case, "system-out").text = _text("\n".join(map(str, lines)))


def _problem(case: Element, tag: str, kind: str, message: str, text: str) -> None:
    SubElement(case, tag, type=kind, message=_text(message)).text = _text(text)


def _written(suite: Element) -> str:
    counts = {name: str(sum(1 for _ in suite.iter(tag))) for name, tag in COUNTED.items()}
    suite.attrib.update(counts)
    del counts["skipped"]  # the schema by which Jenkins reads such files has it in a suite alone
    suites = Element("testsuites", {"name": SUITE, **counts})
    suites.append(suite)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def _text(text: str) -> str:
    """The text without the characters that XML forbids, such as the colours of a terminal."""
    return NOT_IN_XML.sub("", text)
