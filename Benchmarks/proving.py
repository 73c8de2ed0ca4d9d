"""Proves one model with EZKL and with `sumcheck`, in one run on one machine.

Usage: proving.py BOURSE MODEL.onnx VECTORS.json. Prints a table of both and their ratios, and ends
with one line of JSON. Every step of EZKL runs in a process of its own, whose wall time, processor
time and peak memory are the step's. Its reference string is made here for exactly the size that is
needed; whoever makes one can forge, so it serves measurements only. Ratios are of the call alone,
without the start of Python.
"""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time

STEPS = ["settings", "calibrate", "compile", "srs", "setup", "witness", "prove", "verify"]


def step(name, model, work):
    """One of EZKL's steps, in the process that is measured."""
    import ezkl

    def path(file):
        return os.path.join(work, file)

    async def call(function, *arguments, **options):
        # Some of the wheel's functions are awaitable and some are not.
        result = function(*arguments, **options)
        return await result if inspect.isawaitable(result) else result

    settings, circuit, srs = path("settings.json"), path("circuit"), path("kzg")
    verifier_key, prover_key = path("vk"), path("pk")
    data, witness, proof = path("input.json"), path("witness.json"), path("proof.json")
    if name == "settings":
        arguments = ezkl.PyRunArgs()
        arguments.input_visibility = arguments.output_visibility = "public"
        arguments.param_visibility = "fixed"
        arguments.variables = [("batch_size", 1)]
        running = call(ezkl.gen_settings, model, settings, py_run_args=arguments)
    elif name == "calibrate":
        running = call(ezkl.calibrate_settings, data, model, settings, "resources")
    elif name == "compile":
        running = call(ezkl.compile_circuit, model, circuit, settings)
    elif name == "srs":
        running = call(ezkl.gen_srs, srs, json.load(open(settings))["run_args"]["logrows"])
    elif name == "setup":
        running = call(ezkl.setup, circuit, verifier_key, prover_key, srs)
    elif name == "witness":
        running = call(ezkl.gen_witness, data, circuit, witness)
    elif name == "prove":
        running = call(ezkl.prove, witness, circuit, prover_key, proof, srs_path=srs)
    else:
        running = call(ezkl.verify, proof, settings, verifier_key, srs)
    start = time.monotonic()
    asyncio.run(running)
    with open(path(name + ".ms"), "w") as file:
        file.write(str((time.monotonic() - start) * 1000))


def measure_ezkl(model, vectors, work):
    """Of every step the milliseconds of its process and of the call alone, processor seconds and peak
    megabytes; and sizes in bytes."""
    inputs = json.load(open(vectors))["inputs"][0]
    with open(os.path.join(work, "input.json"), "w") as file:
        json.dump({"input_data": [inputs]}, file)
    result = {}
    for name in STEPS:
        start = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, __file__, "--step", name, model, work], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"EZKL's step '{name}' failed with status {status}")
        result[name] = {
            "ms": (time.monotonic() - start) * 1000,
            "call_ms": float(open(os.path.join(work, name + ".ms")).read()),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            # Linux counts in kibibytes.
            "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        }
        print(f"ezkl {name}: {result[name]['ms'] / 1000:.1f} s", file=sys.stderr, flush=True)
    proof = json.load(open(os.path.join(work, "proof.json")))
    result["proof_bytes"] = len(proof["proof"])
    result["verifier_key_bytes"] = os.path.getsize(os.path.join(work, "vk"))
    result["prover_key_bytes"] = os.path.getsize(os.path.join(work, "pk"))
    return result


def measure_ours(bourse, model, vectors, mode):
    command = [bourse, "bench", "prove", model, "--vectors", vectors, "--mode", mode, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main():
    bourse, model, vectors = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as work:
        theirs = measure_ezkl(os.path.abspath(model), vectors, work)
    ours = {mode: measure_ours(bourse, model, vectors, mode) for mode in ["commit", "clear"]}
    peak = max(theirs[name]["peak_mb"] for name in ["witness", "prove"])
    rows = [
        ("setup, ms", theirs["setup"]["call_ms"] + theirs["srs"]["call_ms"], "compile_ms"),
        ("prove, ms", theirs["prove"]["call_ms"], "prove_ms"),
        ("verify, ms", theirs["verify"]["call_ms"], "verify_ms"),
        ("peak memory, MB", peak, "peak_rss_mb"),
        ("proof, bytes", theirs["proof_bytes"], "proof_bytes"),
        ("verifier key, bytes", theirs["verifier_key_bytes"], "verifier_key_bytes"),
    ]
    name = os.path.splitext(os.path.basename(model))[0]
    print(f"{name:22}{'ezkl':>12}{'commit':>12}{'ratio':>10}{'clear':>12}{'ratio':>10}")
    for what, value, key in rows:
        line = f"{what:22}{value:12,.1f}"
        for mode in ["commit", "clear"]:
            own = ours[mode][key]
            line += f"{own:12,.1f}{value / max(own, 1e-9):10,.1f}"
        print(line)
    print(json.dumps({"model": name, "load": os.getloadavg()[0], "ezkl": theirs, "sumcheck": ours}))


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        step(*sys.argv[2:5])
    else:
        main()
