"""Benchmarks of mm-milvus; docs/measured/benchmarks.md has their figures."""
