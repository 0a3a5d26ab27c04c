"""The loop that every run goes through: stages ahead of each other, one sink, one account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

from tqdm import tqdm

from mm_milvus.pipeline.flow import Flow
from mm_milvus.pipeline.prefetch import Prefetch
from mm_milvus.pipeline.report import Report
from mm_milvus.rejects import RejectsFile

Stage = Callable[[Iterator[Flow]], Iterator[Flow]]


def run(
    flows: Iterator[Flow],
    stages: Sequence[Stage],
    write: Callable[[Flow], None],
    *,
    report: Report,
    rejects: RejectsFile,
    total: int | None,
    progress: bool,
) -> None:
    """Pull all flows through the stages, each ahead of the next, and write what comes out.

    total     how many items to expect, for the bar
    progress  draw a bar on stderr, when that is a terminal
    """
    stop = threading.Event()
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=total, unit="img", disable=None if progress else True))
        flows = stack.enter_context(closing(Prefetch(flows, stop)))
        for stage in stages:
            flows = stack.enter_context(closing(Prefetch(stage(flows), stop)))
        for flow in flows:
            write(flow)
            report.account(flow)
            rejects.write(flow.rejects)
            bar.update(flow.read)
            bar.set_postfix(rejected=report.rejected, skipped=report.skipped, refresh=False)
    report.rejects_file = rejects.path if report.rejected else None
