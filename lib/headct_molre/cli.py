"""The command line: `headct-molre serve | predict | look | models | cohort | train | finetune | bench | phantom | token`.

Refusals exit with 2 and one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .cli_bench import add_bench
from .cli_cohort import add_cohort
from .cli_evaluate import add_evaluate
from .cli_finetune import add_finetune
from .cli_models import add_versions
from .cli_serve import add_serve
from .cli_store import add_store
from .cli_token import add_token
from .cli_train import add_train
from .errors import HeadCTError, InvalidRequest
from .imaging.formats import SUPPORTED
from .output import check_output, write_whole

if TYPE_CHECKING:
    from .data.prepared_cache import PreparedCache
    from .schema import ModelCard, Prediction

RESEARCH_USE = "Research software, not a medical device. A finding below its operating point is not ruled out."


def main(arguments: list[str] | None = None) -> int:
    """Parse and run a command; returns the exit status."""
    return guarded(_parser().parse_args(arguments))


def guarded(options: argparse.Namespace) -> int:
    """Run a parsed command; a refusal becomes one line on standard error and status 2."""
    try:
        return options.run(options)
    except HeadCTError as error:
        print(f"headct-molre: {error.message} [{error.code}]", file=sys.stderr)
        return 2
    except OSError as error:  # a folder that is a file, no permission, a full disk: the sentence of the system says which
        print(f"headct-molre: {error.strerror}: {error.filename} [file_system]", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headct-molre", description=f"75 findings on non-contrast head CT. {RESEARCH_USE}")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_serve(commands)

    predict = commands.add_parser("predict", help="classify one study without a server")
    predict.add_argument("path", type=Path, help=SUPPORTED)
    predict.add_argument("--series", metavar="UID", help="SeriesInstanceUID of the DICOM series to read; chosen by rule if not given")
    predict.add_argument("--model", default="demo")
    predict.add_argument("--json", type=Path, help="write the Prediction here; - for standard output")
    predict.add_argument("--device", help="cpu, cuda or cuda:0; chosen by itself if not given")
    predict.add_argument("--engine", help="what runs the backbone: torch-fp32, torch-bf16, openvino-fp32, openvino-bf16; chosen by rule")
    predict.add_argument("--heatmap", metavar="FINDING", help="where the model looked for this finding (its key), not a lesion outline")
    predict.add_argument("--heatmap-out", type=Path, metavar="FILE.nii.gz", help="write the heat map here, on the scan's own grid")
    predict.add_argument("--heatmap-png", type=Path, metavar="FILE", help="draw its slices here")
    predict.add_argument("--no-cache", action="store_true", help="compute again even if this content was classified before")
    predict.add_argument("--top", type=int, default=10, help="how many findings to print")
    predict.set_defaults(run=_predict)

    look = commands.add_parser("look", help="draw what the models read of one study, with the gate's report")
    look.add_argument("path", type=Path, help=SUPPORTED)
    look.add_argument("--png", type=Path, required=True, help="write the picture here")
    look.add_argument("--series", metavar="UID", help="SeriesInstanceUID, where a folder holds several series")
    look.add_argument("--no-cache", action="store_true", help="prepare again even if this content was prepared before")
    look.set_defaults(run=_look)

    models = commands.add_parser("models", help="list the models, their parameters and whether they can be used; fetch weights")
    models.add_argument("--json", action="store_true")
    models.add_argument("--fetch", metavar="NAME", help="install the published weights of a backbone from its hub, checked whole")
    models.add_argument("--from", dest="source", type=Path, metavar="PATH", help="with --fetch: take them from this file or folder")
    models.set_defaults(run=_models)
    add_versions(models)

    add_cohort(commands)
    add_train(commands)
    add_finetune(commands)
    add_bench(commands)

    phantom = commands.add_parser("phantom", help="write synthetic head CT studies with planted findings and their labels")
    phantom.add_argument("folder", type=Path)
    phantom.add_argument("--count", type=int, default=4)
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--matrix", type=int, default=256, help="pixels of a slice's side")
    phantom.add_argument("--split", action="store_true", help="share the studies out between train, validation and test")
    phantom.add_argument("--workers", type=int, default=1, help="processes that draw phantoms")
    phantom.set_defaults(run=_phantom)
    add_evaluate(commands)
    add_store(commands)
    add_token(commands)
    return parser


def _predict(options: argparse.Namespace) -> int:
    from .data.cache import PredictionCache
    from .data.cache_folder import cache_folder
    from .predict import Predictor, study_id

    if options.json is not None and str(options.json) != "-":
        check_output(options.json, "json")
    cache = None if options.no_cache else PredictionCache(cache_folder() / "predictions")
    prepared = None if options.no_cache else _prepared_cache()
    predictor = Predictor(options.model, options.device, cache, prepared, options.engine)
    _check_heatmap(options, predictor.card)
    prediction = predictor.predict(options.path, study_id(options.path), options.series)
    if options.json is not None and str(options.json) == "-":
        print(prediction.to_json())
    else:
        if options.json is not None:
            write_whole(options.json, prediction.to_json().encode())
        _print_findings(prediction, options.top)
    if options.heatmap is not None:
        del predictor  # of a large model, one copy at a time is enough
        _heatmap(options, prediction, prepared)
    return 0


def _check_heatmap(options: argparse.Namespace, card: ModelCard) -> None:
    """Refuse what is wrong with the options of a heat map before any work."""
    from .explain.heatmap import check_finding
    from .explain.nifti_map import check_suffix

    outputs = {"heatmap-out": options.heatmap_out, "heatmap-png": options.heatmap_png}
    if (options.heatmap is None) != (not any(outputs.values())):
        message = "A heat map takes --heatmap FINDING with --heatmap-out FILE.nii.gz, --heatmap-png FILE or both."
        raise InvalidRequest("invalid_argument", message, field="heatmap")
    if options.heatmap is None:
        return
    check_finding(options.heatmap, card)
    for option, path in outputs.items():
        if path is not None:
            check_output(path, option)
    if options.heatmap_out is not None:
        check_suffix(options.heatmap_out)


def _heatmap(options: argparse.Namespace, prediction: Prediction, prepared: PreparedCache | None) -> None:
    from .explain import explain
    from .explain.nifti_map import heat_map_file
    from .explain.preview import preview

    heat_map = explain(options.path, prediction, options.heatmap, options.series, prepared)
    if options.heatmap_out is not None:
        write_whole(options.heatmap_out, heat_map_file(heat_map, options.path, options.series, options.heatmap_out))
    if options.heatmap_png is not None:
        write_whole(options.heatmap_png, preview(heat_map))
    # Standard output may hold the Prediction.
    for line in heat_map.lines:
        print(line, file=sys.stderr if str(options.json) == "-" else sys.stdout)


def _look(options: argparse.Namespace) -> int:
    from .look import look

    check_output(options.png, "png")
    seen = look(options.path, options.series, None if options.no_cache else _prepared_cache())
    write_whole(options.png, seen.png)
    if seen.refusal is not None:
        raise seen.refusal
    print(f"{seen.slices} model slices drawn to {options.png}")
    for warning in seen.quality.warnings if seen.quality else []:
        print(f"  note: {warning.message}")
    print(RESEARCH_USE)
    return 0


def _prepared_cache() -> PreparedCache:
    from .data.cache_folder import cache_folder, cache_limit_bytes
    from .data.prepared_cache import PreparedCache

    return PreparedCache(cache_folder() / "prepared", cache_limit_bytes())


def _print_findings(prediction: Prediction, top: int) -> None:
    """A short table: the likeliest findings that the model was tested on, and what the gate remarked."""
    from .findings import finding

    model = prediction.model
    where = f"on {prediction.device} by {prediction.engine}"
    print(f"{prediction.study}: {model.name} {model.version} {where}, {prediction.timing_ms['total']:.0f} ms")
    if model.demo:
        print("DEMO MODEL, trained on synthetic phantoms: its probabilities mean nothing on a patient's scan.")
    for warning in prediction.quality.warnings:
        print(f"  note: {warning.message}")
    known = sorted((result for result in prediction.findings if result.estimable), key=lambda result: -result.probability)
    for result in known[:top]:
        mark = "above" if result.positive else "below"
        print(f"  {result.probability:6.3f}  {mark} {result.operating_point:.3f}  {finding(result.key).display_name}")
    untested = len(prediction.findings) - len(known)
    if untested:
        print(f"  {untested} findings are not assessed by this model.")
    print(RESEARCH_USE)


def _models(options: argparse.Namespace) -> int:
    if options.source is not None and options.fetch is None:
        raise InvalidRequest("invalid_argument", "--from needs --fetch NAME.", field="from")
    if options.fetch is not None:
        return _fetch(options.fetch, options.source)
    from .models.listing import describe_models, table

    rows = describe_models()
    print(json.dumps(rows, indent=2) if options.json else table(rows))
    return 0


def _fetch(name: str, source: Path | None) -> int:
    from .models.backbones import backbone_spec
    from .models.fetch import fetch_backbone

    spec = backbone_spec(name)
    path, sha256 = fetch_backbone(spec, source)
    print(f"{spec.title}: whole, in {path}, sha256 {sha256}. Its terms ({spec.licence}) apply to what you make with it.")
    return 0


def _phantom(options: argparse.Namespace) -> int:
    from .data.phantom import LABELS_FILE, write_cohort

    paths = write_cohort(options.folder, options.count, options.seed, options.matrix, options.split, options.workers)
    print(f"{len(paths)} synthetic studies and {LABELS_FILE} written to {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
