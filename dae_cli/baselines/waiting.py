"""Long calls into a library, and being asked meanwhile whether to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

LOOK_SECONDS = 0.1
"""Between two looks, so that who asks to stop does not wait for the end of a trial."""

Result = TypeVar("Result")


def looking(work: Callable[[], Result], look: Callable[[], None]) -> Result:
    """Do `work` in a thread of its own, and call `look` until it is done.

    If `look` raises, that ends the call; the thread goes on to the end of its work, which nobody
    waits for, or to the end of the process. What `work` raises is raised here.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        look()
        thread.join(LOOK_SECONDS)
    if errors:
        raise errors[0]
    return results[0]
