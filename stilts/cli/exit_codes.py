"""Exit codes of every command, in one place."""

OK = 0
FAILED = 1
USAGE = 2
LIMIT_REACHED = 3
DEFECT = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

MEANINGS = {
    OK: "everything is done",
    FAILED: "bad input, no answer of a server, a full disk, or stages that failed or diverged; the message says which",
    USAGE: "unknown command or option",
    LIMIT_REACHED: "the run stopped at --max-gpu-hours or --max-cost",
    DEFECT: "a defect of stilts; STILTS_DEBUG=1 shows the traceback",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; the same command continues",
    BROKEN_PIPE: "the reader of the output closed it, as `head` does",
}
"""What each of them means, for the help and the documentation."""
