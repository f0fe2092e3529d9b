"""What the system allows a process: open files and memory, looked at before anything begins."""

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]
from batch_updater.common.errors import SettingsError

SPARE_FILES = 48  # the journal, locks, logs, and what libraries open for a moment
LEAST_MEMORY = 512  # MB of address space; the libraries alone take some 300, and end the process when they can't


def make_room(concurrency: int) -> None:
    """Allow this process as many open files as it needs. Raises SettingsError when the system does not let it."""
    if resource is None:
        return
    needed = concurrency + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError(
            f"--concurrency {concurrency} needs {needed} open files, and the limit is {hard}.",
            f"raise it (ulimit -n {needed}), or use a lower --concurrency",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def check_memory() -> None:
    """Raise SettingsError when this process may use less memory than its libraries need to be loaded."""
    if resource is None:
        return
    limit, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY << 20:
        raise SettingsError(
            f"This process may use {limit >> 20} MB of address space, and needs {LEAST_MEMORY}.",
            f"raise the limit (ulimit -v {LEAST_MEMORY << 10})",
        )
