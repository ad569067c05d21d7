"""The bar that the commands show while they work."""

from collections.abc import Callable


def progress_bar() -> Callable:
    """tqdm, which only the commands need.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('the command shows a bar by tqdm: pip install "groot_teach[train]"') from error
    return tqdm
