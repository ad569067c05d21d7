"""The packages that only a part of the library needs, and the extra of `groot_teach` that installs each of them.

The extras themselves are in pyproject.toml, under `[project.optional-dependencies]`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

EXTRA_OF = {
    "anywidget": "notebooks",
    "ipywidgets": "notebooks",
    "matplotlib": "notebooks",
    "traitlets": "notebooks",  # comes with ipywidgets
    "pyarrow": "recordings",
    "safetensors": "checkpoints",
}


@contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Put around an import: if the package is missing, the error says which extra of `groot_teach` installs it.

    Args:
        what: the subject of the sentence, such as "reading parquet files".

    Raises:
        ImportError: the package is missing. What else an import may raise is left as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        command = f'pip install "groot_teach[{EXTRA_OF[package]}]"'
        message = f"{what} needs the package {package}, which is not installed: {command}"
        raise ImportError(message, name=package) from error
