#!/usr/bin/env python3
"""Inference by `bourse bench execute` and by ONNX Runtime, side by side, model by model.

Usage: inference.py BOURSE MODELS ALLOCATIONS, with ONNX Runtime on the path; scripts/bench starts it.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime

MODELS = ["digits_mlp", "digits_lenet5", "digits_resnet8", "conv56"]
SECONDS = 1.0


def vectors_of(model):
    path = model.with_suffix(".vectors.json")
    return path if path.exists() else None


def bench(bourse, model, *options, environment=None):
    """The report of `bourse bench execute`, and what it wrote to standard error."""
    vectors = vectors_of(model)
    command = [bourse, "bench", "execute", str(model), "--json", *options]
    if vectors:
        command += ["--vectors", str(vectors)]
    run = subprocess.run(
        command, capture_output=True, check=True, text=True, env={**os.environ, **(environment or {})}
    )
    return json.loads(run.stdout), run.stderr


def reference(model, threads):
    """Median milliseconds of one float inference by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"]
    )
    node = session.get_inputs()[0]
    vectors = vectors_of(model)
    if vectors:
        content = json.loads(vectors.read_text())
        value = numpy.array(content["inputs"][0], numpy.float32).reshape(content["input_shape"])
    else:
        value = numpy.random.default_rng(1).uniform(-1, 1, node.shape).astype(numpy.float32)
    feed = {node.name: value}
    session.run(None, feed)
    times = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - before) * 1e3)
    return min(times), statistics.median(times)


def allocations(bourse, model, library):
    """Requests for memory of one inference, after the first."""
    counts = []
    for runs in (10, 1010):
        _, errors = bench(
            bourse, model, "--executor-only", "--threads", "1", "--runs", str(runs),
            environment={"LD_PRELOAD": library},
        )
        counts.append(int(re.search(r"allocations (\d+)", errors)[1]))
    return (counts[1] - counts[0]) / 1000


def main():
    bourse, folder, library = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    cores = len(os.sched_getaffinity(0))
    print(f"ONNX Runtime {onnxruntime.__version__}, {cores} cores, load {os.getloadavg()[0]:.1f}")
    print("Milliseconds are least / median. The ratio is of the medians: above 1, bourse is slower.")
    row = "{:<15} {:>7} {:>7}  {:>17} {:>7}  {:>17} {:>6}  {:>6} {:>6}"
    print(
        row.format(
            "model", "MMAC", "threads", "bourse ms", "GMAC/s", "ONNX Runtime ms", "ratio",
            "float", "allocs",
        )
    )
    for name in MODELS:
        model = folder / f"{name}.onnx"
        report, _ = bench(bourse, model, "--threads", *sorted({"1", str(cores)}))
        requested = allocations(bourse, model, library)
        for timing in report["executor"]:
            if timing["instructions"] == "portable":
                continue
            times = timing["timing"]
            least, median = reference(model, timing["threads"])
            print(
                row.format(
                    name,
                    f"{report['multiplications'] / 1e6:.2f}",
                    timing["threads"],
                    f"{times['leastMilliseconds']:.3f} / {times['medianMilliseconds']:.3f}",
                    f"{timing['gigaMultiplicationsPerSecond']:.1f}",
                    f"{least:.3f} / {median:.3f}",
                    f"{times['medianMilliseconds'] / median:.2f}",
                    f"{report['float']['medianMilliseconds'] / times['medianMilliseconds']:.0f}x",
                    f"{requested:.0f}",
                )
            )


if __name__ == "__main__":
    main()
