"""What is printed of a run's report, and the exit code that follows from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_milvus.cli.options import EXIT_INTERRUPTED, EXIT_REJECTED

if TYPE_CHECKING:
    from mm_milvus.embeddings.encode import EncodeReport
    from mm_milvus.ingestion.ingest import IngestReport
    from mm_milvus.pipeline.report import Report
    from mm_milvus.training.report import TrainReport
    from mm_milvus.zeroshot.run import JudgeReport


def summary(report: EncodeReport | IngestReport, verb: str) -> str:
    """The counts of a run, as one line; verb is what was done to its images."""
    return (
        f"{report.dataset}: {report.items:,} items read in {report.seconds:.1f} s "
        f"({report.images_per_second:,.1f}/s); {verb} {report.images:,} images and "
        f"{report.captions:,} captions; {report.skipped:,} items unchanged, "
        f"{report.pruned:,} rows pruned, {report.rejected:,} rejected"
    )


def encoder_hint(report: Report) -> None:
    """Say that there are better encoders, where the small one has just been used."""
    if report.model == "compact" and report.images:
        print(
            "compact is small and runs anywhere; a CLIP model ranks better: "
            "--model laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        )


def judged(report: JudgeReport) -> None:
    """Print what a judgement of images did, and where the rest is."""
    noun = "image" if report.images == 1 else "images"
    print(
        f"{report.dataset}: {report.images:,} {noun} judged in {report.seconds:.1f} s "
        f"({report.images_per_second:,.1f}/s), {report.rejected:,} rejected; model {report.model}"
    )
    if report.output:
        print(f"the findings: {report.output}")
    if report.rejects_file:
        print(f"the rejects, with their reasons: {report.rejects_file}")
    if report.interrupted:
        print("interrupted: only what was judged until then is told")


def exit_code(report: Report | TrainReport) -> int:
    """0, or why the run was not whole."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_REJECTED if report.rejected else 0
